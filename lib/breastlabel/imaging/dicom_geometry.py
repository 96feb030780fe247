"""Where a DICOM still lies, as SimpleITK and with it the viewers see it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.imaging.image import Geometry
from breastlabel.imaging.volumes import itk_geometry

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["dicom_geometry"]

# What GDCM, ITK's reader, looks at; which of them counts depends on the kind of object.
_PLACING = (
    "SOPClassUID",
    "Modality",
    "SpacingBetweenSlices",
    "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
    "NominalScannedPixelSpacing",
    "SequenceOfUltrasoundRegions",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "PixelAspectRatio",
    "PixelSpacingCalibrationType",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def dicom_geometry(header: Dataset) -> Geometry:
    """The space that SimpleITK gives a still with this header; unit spacing where it gives none.

    ITK is shown a twin of four pixels: the stream of the real ones, damaged, may make it ask for gigabytes,
    and their number has no bearing on where the first of them lies.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            twin = Path(folder) / "twin.dcm"
            _twin(header).save_as(twin, write_like_original=False)
            return itk_geometry(twin) or Geometry()
    except OSError:
        raise
    except Exception:
        # pydicom raises almost anything where a malformed element is to be written.
        return Geometry()


def _twin(header: Dataset) -> Dataset:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    twin = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    twin.is_little_endian, twin.is_implicit_VR = True, False
    for keyword in _PLACING:
        if keyword in header:
            twin[keyword] = header[keyword]
    meta.MediaStorageSOPClassUID = twin.SOPClassUID
    meta.MediaStorageSOPInstanceUID = twin.SOPInstanceUID = "1.2.3"
    twin.Rows = twin.Columns = 2
    twin.BitsAllocated, twin.BitsStored, twin.HighBit, twin.PixelRepresentation = 8, 8, 7, 0
    twin.SamplesPerPixel, twin.PhotometricInterpretation = 1, "MONOCHROME2"
    twin.PixelData = bytes(4)
    twin["PixelData"].VR = "OB"
    return twin
