"""What a result takes over from the image that it is about: patient, study, side, orientation.

Only what the image has is copied. What it lacks and the standard wants is left empty; nothing is made up.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidImageError
from breastlabel.findings.dicom_codes import BREAST, SIDES
from breastlabel.imaging.dicom_values import numbers
from breastlabel.imaging.mammogram_header import read_mammogram
from breastlabel.imaging.vocabulary import Laterality

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "breast_region",
    "check_source",
    "copy_image_facts",
    "copy_patient_and_study",
    "frame_count",
    "image_orientation",
    "laterality_of",
    "person_name",
    "plain_dataset",
    "reference",
    "stamp",
    "stand_in",
]

# Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): present, if need be empty.
_ALWAYS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Of the same modules and Patient Study (C.7.2.2), where the image has them.
_WHERE_PRESENT = (
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
    "LongitudinalTemporalInformationModified",
)
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_UTF8 = "ISO_IR 192"


def check_source(source: Dataset) -> None:
    """Require what a result must refer to.

    Raises:
        InvalidImageError: a UID, Rows or Columns is missing.
    """
    missing = [keyword for keyword in _NEEDED if not source.get(keyword)]
    if missing:
        raise InvalidImageError(
            f"a DICOM image with {', '.join(_NEEDED)} is required for its result; it lacks "
            f"{', '.join(missing)}; send the image again from its source"
        )


def copy_patient_and_study(source: Dataset, result: Dataset) -> None:
    """Make the result one of the image's patient and study, in the same words; texts become UTF-8."""
    result.SpecificCharacterSet = _UTF8
    result.StudyInstanceUID = source.StudyInstanceUID
    for keyword in (*_ALWAYS, *_WHERE_PRESENT):
        value = _stated(source, keyword)
        if value is not None or keyword in _ALWAYS:
            setattr(result, keyword, value)


def copy_image_facts(source: Dataset, result: Dataset) -> None:
    """What an outline inherits: orientation, frame of reference, and that pixels were lossily compressed."""
    result.PatientOrientation = _stated(source, "PatientOrientation")
    frame_of_reference = _stated(source, "FrameOfReferenceUID")
    if frame_of_reference:
        result.FrameOfReferenceUID = frame_of_reference
        result.PositionReferenceIndicator = _stated(source, "PositionReferenceIndicator")
    lossy = _stated(source, "LossyImageCompression") == "01"
    result.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod") if lossy else ():
        value = _stated(source, keyword)
        if value is not None:
            setattr(result, keyword, value)


def _stated(source: Dataset, keyword: str) -> object:
    from pydicom.valuerep import PersonName

    try:
        value = source.get(keyword)
        # A person's name remembers the bytes of another character set.
        return str(value) if isinstance(value, PersonName) else value
    except Exception:
        # pydicom decodes an element when it is asked for, and malformed bytes raise almost anything.
        return None


def reference(source: Dataset) -> Dataset:
    """An item that refers to the image (PS3.3 10.8)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def stand_in(source: Dataset) -> Dataset:
    """What highdicom needs of an image, and nothing else: it knows neither every class nor every omission.

    The class is Secondary Capture; who uses this puts the image's own class into the references.
    """
    from pydicom.dataset import Dataset

    image = Dataset()
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
        setattr(image, keyword, source[keyword].value)
    image.SOPClassUID = _SECONDARY_CAPTURE
    image.Modality = str(source.get("Modality") or "OT")
    for keyword in ("PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(image, keyword, "")
    image.PatientBirthDate = image.StudyDate = image.StudyTime = None
    return image


def frame_count(source: Dataset) -> int:
    """Number of Frames, 1 for a still."""
    return int(source.get("NumberOfFrames") or 1)


def image_orientation(source: Dataset) -> tuple[float, ...]:
    """Image Orientation (Patient), the direction cosines of rows and columns; the identity where it is not
    stated.
    """
    stated = numbers(source, "ImageOrientationPatient")
    return stated if stated is not None and len(stated) == 6 else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def laterality_of(source: Dataset) -> Laterality | None:
    """The side that the image names; None where it names none, or contradicts itself."""
    return read_mammogram(source).laterality


def person_name(name: str | None) -> str:
    """A login or a name as a person's name (PS3.5 6.2): one component group of at most 64 characters.

    What has no caret is a family name, and gets one, so that nobody takes it for the form of before 1993.
    """
    plain = "".join(c if c.isprintable() and c not in "\\=" else " " for c in name or "").strip()[:63]
    return plain if "^" in plain or not plain else f"{plain}^"


def stamp(result: Dataset, source: Dataset, created: datetime | None) -> None:
    """Date and time of the series and its content, in the image's time zone where it names one.

    Args:
        created: None: the present moment.
    """
    moment = (datetime.now(UTC) if created is None else created).astimezone()
    offset = str(_stated(source, "TimezoneOffsetFromUTC") or "")
    if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", offset):
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        moment = moment.astimezone(timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes)))
        result.TimezoneOffsetFromUTC = offset
    day, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    result.ContentDate = result.SeriesDate = result.InstanceCreationDate = day
    result.ContentTime = result.SeriesTime = result.InstanceCreationTime = time


def plain_dataset(result: Dataset) -> Dataset:
    """A result as it will be read: highdicom's own classes cannot be copied, and keep tables of their own."""
    from pydicom import dcmread

    buffer = io.BytesIO()
    result.save_as(buffer, write_like_original=False)
    buffer.seek(0)
    dataset = dcmread(buffer)
    dataset.filename = None
    return dataset


def breast_region(side: Laterality | None) -> Dataset:
    """The breast as an item of the Anatomic Region Sequence, with its side where that is known."""
    region = BREAST.item()
    if side is not None:
        region.AnatomicRegionModifierSequence = [SIDES[side].item()]
    return region
