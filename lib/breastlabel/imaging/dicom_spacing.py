"""The size of a pixel in the breast, from the several attributes that may state one (PS3.3 10.7.1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from breastlabel.imaging.dicom_values import number, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["pixel_spacing"]

_SMALLEST, _LARGEST = 1e-4, 10.0  # mm


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """(between rows, between columns) in mm; None where it is not stated, or no size of a pixel.

    In this order:

    1. Pixel Spacing (0028,0030), unless it repeats Imager Pixel Spacing without a Pixel Spacing Calibration
       Type (0028,0A02): 10.7.1.3 says that it is then not corrected for the magnification.
    2. Imager Pixel Spacing (0018,1164), measured at the detector, divided by the Estimated Radiographic
       Magnification Factor (0018,1114) where one is stated.
    3. Nominal Scanned Pixel Spacing (0018,2010), of a digitised film.
    """
    stated, detector = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    repeated = stated is not None and detector is not None and _equal(stated, detector)
    if stated is not None and (not repeated or text(dataset, "PixelSpacingCalibrationType")):
        return stated
    if detector is None:
        return _pair(dataset, "NominalScannedPixelSpacing")
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor") or 1.0
    if factor < 0:
        return detector
    return _plausible(detector[0] / factor, detector[1] / factor)


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    values = numbers(dataset, keyword)
    return _plausible(*values) if values is not None and len(values) == 2 else None


def _plausible(rows: float, columns: float) -> tuple[float, float] | None:
    fits = all(_SMALLEST <= value <= _LARGEST for value in (rows, columns))
    return (rows, columns) if fits else None


def _equal(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(first, second, strict=True))
