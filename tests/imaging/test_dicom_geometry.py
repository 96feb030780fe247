"""The geometry is SimpleITK's own, whatever the kind of object and its transfer syntax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless
from tests.imaging.mammograms import FOR_PRESENTATION, SECONDARY_CAPTURE, write_mammogram

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality, read_image
from breastlabel.imaging.dicom_geometry import dicom_geometry
from breastlabel.imaging.files import image_space
from breastlabel.imaging.image import Geometry
from breastlabel.imaging.volumes import itk_geometry

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def region() -> Sequence:
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = 0, 0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 31, 39
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = 0.008, 0.012
    return Sequence([item])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless])
@pytest.mark.parametrize("kind", [FOR_PRESENTATION, SECONDARY_CAPTURE, ULTRASOUND])
@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"ImagerPixelSpacing": [0.1, 0.2], "EstimatedRadiographicMagnificationFactor": 1.5},
        {"PixelSpacing": [0.07, 0.05], "ImagerPixelSpacing": [0.1, 0.2]},
        {"NominalScannedPixelSpacing": [0.05, 0.06]},
        {"SequenceOfUltrasoundRegions": region()},
        {"PixelAspectRatio": [4, 3]},
        {
            "ImagePositionPatient": [1, 2, 3],
            "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
            "PixelSpacing": [2, 3],
        },
    ],
)
def test_it_is_that_of_the_whole_file(tmp_path: Path, syntax: str, kind: str, tags: dict[str, Any]) -> None:
    modality = "US" if kind == ULTRASOUND else "MG"
    path = write_mammogram(
        tmp_path / "a.dcm",
        syntax=syntax,
        SOPClassUID=kind,
        Modality=modality,
        **tags,
    )
    assert dicom_geometry(pydicom.dcmread(path)) == itk_geometry(path)


def test_the_space_of_a_file_is_known_without_its_pixels(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", Modality="RG", NominalScannedPixelSpacing=[0.05, 0.06])
    whole = read_image(path, modality=Modality.MG)
    assert image_space(path) == (whole.shape, whole.geometry)
    path.write_bytes(path.read_bytes()[:-400])
    assert image_space(path) == (whole.shape, whole.geometry)
    path.write_bytes(b"no DICOM")
    with pytest.raises(InvalidImageError, match=r"readable DICOM header is required; that of a\.dcm is not"):
        image_space(path)


def test_a_header_that_cannot_be_written_has_unit_spacing() -> None:
    header = Dataset()
    header.Modality = "MG"
    assert dicom_geometry(header) == Geometry()
