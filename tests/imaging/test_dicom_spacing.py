"""The size of a pixel: which attribute counts, PS3.3 10.7.1."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from breastlabel.imaging.dicom_spacing import pixel_spacing

DETECTOR = {"ImagerPixelSpacing": [0.1, 0.2]}
MAGNIFIED = DETECTOR | {"EstimatedRadiographicMagnificationFactor": 2}
FILM = {"NominalScannedPixelSpacing": [0.05, 0.04]}


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({}, None),
        (DETECTOR, (0.1, 0.2)),
        (MAGNIFIED, (0.05, 0.1)),
        (FILM, (0.05, 0.04)),
        (FILM | DETECTOR, (0.1, 0.2)),
        ({"PixelSpacing": [0.07, 0.08]}, (0.07, 0.08)),
        (MAGNIFIED | {"PixelSpacing": [0.06, 0.12]}, (0.06, 0.12)),
        # Repeated without a calibration, it is the detector's, and is corrected here.
        (MAGNIFIED | {"PixelSpacing": [0.1, 0.2]}, (0.05, 0.1)),
        (MAGNIFIED | {"PixelSpacing": [0.1, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.1, 0.2)),
        (DETECTOR | {"EstimatedRadiographicMagnificationFactor": 0}, (0.1, 0.2)),
        (DETECTOR | {"EstimatedRadiographicMagnificationFactor": -2}, (0.1, 0.2)),
        (DETECTOR | {"PixelSpacing": [0, 0]}, (0.1, 0.2)),
        ({"PixelSpacing": [0.1]}, None),
        ({"PixelSpacing": [1e9, 1e9]}, None),
    ],
)
def test_precedence(tags: dict[str, Any], spacing: tuple[float, float] | None) -> None:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    assert pixel_spacing(dataset) == (spacing if spacing is None else pytest.approx(spacing))
