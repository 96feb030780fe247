"""BreastImage -> DICOM dataset, so that viewers that know nothing but DICOM can show any image.

References are to DICOM PS3.3. Ultrasound becomes an Ultrasound Image (A.6) of 8 bits, a mammogram a Digital
Mammography X-Ray Image for presentation (A.27) of 16. The latter must have a side, a view and a spacing; a
mammogram without one of them becomes a Secondary Capture Image (A.8) of modality MG, which says no more than
is known.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.mammogram_writing import FOR_PRESENTATION, add_breast_and_view
from breastlabel.imaging.vocabulary import Density, Laterality, Modality, ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["ImageIdentity", "dicom_bytes", "written_header", "written_image"]

_ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
#: Says who wrote a file (PS3.7 D.3.3.2); derived from a UUID (PS3.5 B.2).
_IMPLEMENTATION = "2.25.318046518117386023297430195206110291841"
_LONGEST_LO = 64
_BYTE = 255


@dataclass(frozen=True)
class ImageIdentity:
    """What is known of an image beside its pixels.

    Attributes:
        patient_id: a key, not the identifier of any hospital system; its name in the dataset is the same.
        spacing: (rows, cols) in mm; None where unknown.
        acquired: None where unknown.
        age: in years.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    modality: Modality
    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    spacing: tuple[float, float] | None = None
    acquired: date | None = None
    age: float | None = None
    density: Density | None = None
    implant: bool | None = None
    manufacturer: str | None = None
    machine: str | None = None

    @property
    def sop_class_uid(self) -> str:
        """What the image is written as."""
        if self.modality is Modality.US:
            return _ULTRASOUND
        complete = None not in (self.laterality, self.view_position, self.spacing)
        return FOR_PRESENTATION if complete else _SECONDARY_CAPTURE


def written_image(pixels: npt.NDArray[Any], identity: ImageIdentity) -> Dataset:
    """An image with its file meta information, uncompressed. ``pixels[r, c]`` is the DICOM pixel (r, c).

    Values that fit (whole, not negative, of 8 or 16 bits) stay what they are; others are spread linearly over
    the range that there is.

    Args:
        pixels: grey (rows, cols), brighter meaning more of what the image shows.
    """
    rows, columns = pixels.shape
    dataset = written_header(identity, (rows, columns))
    ultrasound = identity.modality is Modality.US
    stored = _stored(pixels, np.uint8 if ultrasound else np.uint16)
    if not ultrasound:
        bits = max(8, int(stored.max()).bit_length())
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        low, high = float(stored.min()), float(stored.max())
        # As C.11.2.1.2 defines it, so that the darkest value is black and the brightest white.
        dataset.WindowCenter, dataset.WindowWidth = _ds((low + high + 1) / 2), _ds(max(high - low + 1, 2.0))
    dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    dataset["PixelData"].VR = "OB" if ultrasound else "OW"
    return dataset


def written_header(identity: ImageIdentity, shape: tuple[int, int]) -> Dataset:
    """`written_image` but for what only the pixels tell."""
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = identity.sop_class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = identity.sop_instance_uid
    dataset.file_meta.TransferSyntaxUID = _EXPLICIT_LITTLE
    dataset.file_meta.ImplementationClassUID = _IMPLEMENTATION
    dataset.file_meta.ImplementationVersionName = "breastlabel"
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.preamble = b"\0" * 128
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = identity.sop_class_uid, identity.sop_instance_uid
    _add_patient_and_study(dataset, identity)
    _add_series(dataset, identity)
    _add_image(dataset, shape)
    if identity.modality is Modality.US:
        _add_ultrasound(dataset, identity, shape)
    elif identity.sop_class_uid == FOR_PRESENTATION:
        _add_mammogram(dataset, identity)
    else:
        _add_capture(dataset, identity)
    return dataset


def dicom_bytes(dataset: Dataset) -> bytes:
    """A dataset with its file meta information as a DICOM file."""
    from pydicom import dcmwrite

    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, write_like_original=False)
    return buffer.getvalue()


def _add_patient_and_study(dataset: Dataset, identity: ImageIdentity) -> None:
    key = _short(identity.patient_id)
    dataset.PatientID = dataset.PatientName = key
    dataset.PatientBirthDate = dataset.PatientSex = ""
    if identity.age is not None and 0 <= identity.age < 1000:
        dataset.PatientAge = f"{int(identity.age):03d}Y"
    dataset.StudyInstanceUID = identity.study_instance_uid
    day = identity.acquired.strftime("%Y%m%d") if identity.acquired else ""
    dataset.StudyDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.ContentTime = ""
    if day:
        dataset.AcquisitionDate = day
    dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""


def _add_series(dataset: Dataset, identity: ImageIdentity) -> None:
    dataset.SeriesInstanceUID = identity.series_instance_uid
    dataset.Modality = identity.modality.value
    dataset.SeriesNumber = "1"
    words = [w.value for w in (identity.laterality, identity.view_position) if w is not None]
    dataset.SeriesDescription = " ".join(words) or identity.modality.value
    dataset.Manufacturer = _short(identity.manufacturer or "")
    if identity.machine:
        dataset.ManufacturerModelName = _short(identity.machine)
    dataset.BodyPartExamined = "BREAST"
    if identity.laterality is not None:
        dataset.ImageLaterality = identity.laterality.value
    else:
        dataset.Laterality = ""


def _add_image(dataset: Dataset, shape: tuple[int, int]) -> None:
    dataset.InstanceNumber = "1"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "Converted from a file that is no DICOM"
    dataset.PatientOrientation = ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7


def _add_ultrasound(dataset: Dataset, identity: ImageIdentity, shape: tuple[int, int]) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    # Value 4 is of ultrasound: 0001 is 2D imaging (C.8.5.6.1.1).
    dataset.ImageType = ["DERIVED", "PRIMARY", "", "0001"]
    if identity.spacing is None:
        return
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1  # 2D, tissue
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = shape[1] - 1, shape[0] - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX, region.PhysicalDeltaY = identity.spacing[1] / 10, identity.spacing[0] / 10
    dataset.SequenceOfUltrasoundRegions = Sequence([region])


def _add_mammogram(dataset: Dataset, identity: ImageIdentity) -> None:
    from pydicom.sequence import Sequence

    assert identity.laterality is not None
    assert identity.view_position is not None
    assert identity.spacing is not None
    _add_grey_scale(dataset)
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    # Nobody tells whether the file was mirrored; the great majority hang as films do.
    add_breast_and_view(dataset, identity.laterality, identity.view_position)
    dataset.PositionerPrimaryAngle = ""
    dataset.ImagesInAcquisition = "1"
    dataset.BurnedInAnnotation = "YES"  # nobody knows, and so whoever passes it on has to look
    dataset.LossyImageCompression = "00"
    dataset.DetectorType = ""
    dataset.DetectorConfiguration = "AREA"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.ImagerPixelSpacing = [_ds(value) for value in identity.spacing]
    if identity.implant is not None:
        dataset.BreastImplantPresent = "YES" if identity.implant else "NO"


def _add_capture(dataset: Dataset, identity: ImageIdentity) -> None:
    _add_grey_scale(dataset)
    dataset.ConversionType = "WSD"
    if identity.view_position is not None:
        dataset.ViewPosition = identity.view_position.value
    if identity.spacing is not None:
        dataset.NominalScannedPixelSpacing = [_ds(value) for value in identity.spacing]


def _add_grey_scale(dataset: Dataset) -> None:
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape = "IDENTITY"


def _stored(pixels: npt.NDArray[Any], kind: type[np.unsignedinteger[Any]]) -> npt.NDArray[Any]:
    top = int(np.iinfo(kind).max)
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= top:
        whole = np.rint(pixels)
        # A colour picture's luminance has fractions, which are not worth another scale.
        if np.array_equal(whole, pixels) or (top == _BYTE and high > _BYTE / 4):
            return np.ascontiguousarray(whole).astype(np.dtype(kind).newbyteorder("<"))
    spread = (pixels.astype(np.float64) - low) * (top / max(high - low, 1e-30))
    return np.ascontiguousarray(np.rint(spread)).astype(np.dtype(kind).newbyteorder("<"))


def _short(text: str) -> str:
    """A long string (LO, PS3.5 6.2): 64 characters at most, no backslash; what is longer stays tellable."""
    plain = text.replace("\\", "/").replace("\0", "").replace("^", " ").replace("=", " ")
    if len(plain) <= _LONGEST_LO and plain == text:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{plain[: _LONGEST_LO - 13]}-{digest}"


def _ds(value: float) -> str:
    """A decimal string: 16 characters at most."""
    return f"{value:.9g}"
