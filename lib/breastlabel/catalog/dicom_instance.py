"""One DICOM instance as the index knows it, and how it is told from a header."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "INSTANCE_LEVEL",
    "SERIES_LEVEL",
    "STUDY_LEVEL",
    "DicomInstance",
    "Origin",
    "derived_uid",
    "instance_of",
    "tags_of",
]

#: Where an instance came from: a file of the folder, a conversion, a STOW request, a PACS, or this program.
Origin = Literal["file", "converted", "stow", "pacs", "ours"]

#: What QIDO-RS answers of a study (PS3.18 10.6.3.3.1), as far as a header says it.
STUDY_LEVEL = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyInstanceUID", "StudyID", "StudyDescription"),
)
SERIES_LEVEL = (
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime"),
    *("Manufacturer", "ManufacturerModelName", "BodyPartExamined", "Laterality"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence"),
)
INSTANCE_LEVEL = (
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated"),
    *("NumberOfFrames", "PhotometricInterpretation", "ImageType", "PresentationIntentType"),
    *("ImageLaterality", "ViewPosition", "PatientOrientation", "ContentLabel", "ContentDescription"),
    *("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"),
)


@dataclass(frozen=True)
class DicomInstance:
    """An instance that viewers can ask for.

    Attributes:
        image_id: the image of the catalog that it is; None for segmentations, reports, loops and the like.
        file: relative to the studies folder; None for an image that is converted when it is asked for.
        attributes: what QIDO answers of it, its study and its series: the DICOM JSON model (PS3.18 F).
        received_at: when the index first learnt of it, in UTC.
        stamp: of the file when it was looked at.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    modality: str
    image_id: str | None
    file: str | None
    attributes: Mapping[str, Any]
    received_at: datetime
    origin: Origin
    stamp: str | None = None

    def value(self, keyword: str) -> Any:
        """The first value of an attribute that the index holds; None without one."""
        (tag,) = tags_of((keyword,))
        values = self.attributes.get(tag, {}).get("Value") or [None]
        return values[0]


def derived_uid(salt: str, kind: str, name: str) -> str:
    """The UID of something that has none of its own, always the same for the same name (PS3.5 B.2).

    Args:
        salt: of the catalog, so that two sites' UIDs never meet, and no name can be guessed from one.
        kind: "study", "series" or "instance".
    """
    namespace = uuid.uuid5(uuid.NAMESPACE_OID, f"breastlabel/{salt}")
    return f"2.25.{uuid.uuid5(namespace, f'{kind}/{name}').int}"


@lru_cache
def tags_of(keywords: tuple[str, ...]) -> tuple[str, ...]:
    """Keywords as the DICOM JSON model names them: eight hexadecimal digits."""
    from pydicom.datadict import tag_for_keyword

    return tuple(f"{tag_for_keyword(keyword):08X}" for keyword in keywords)


def instance_of(
    dataset: Dataset,
    *,
    image_id: str | None,
    file: str | None,
    origin: Origin,
    stamp: str | None = None,
    uids: Mapping[str, str] | None = None,
) -> DicomInstance:
    """What the index keeps of a header.

    Args:
        uids: keyword -> UID for those that the header has not, or has wrong.

    Raises:
        KeyError: a UID is missing.
    """
    known = {
        keyword: (uids or {}).get(keyword) or str(dataset[keyword].value)
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    }
    attributes = _json(dataset, (*STUDY_LEVEL, *SERIES_LEVEL, *INSTANCE_LEVEL))
    for keyword, uid in known.items():
        attributes[tags_of((keyword,))[0]] = {"vr": "UI", "Value": [uid]}
    modality = str(dataset.get("Modality") or "OT").strip().upper()[:16] or "OT"
    attributes[tags_of(("Modality",))[0]] = {"vr": "CS", "Value": [modality]}
    return DicomInstance(
        sop_instance_uid=known["SOPInstanceUID"],
        sop_class_uid=known["SOPClassUID"],
        series_instance_uid=known["SeriesInstanceUID"],
        study_instance_uid=known["StudyInstanceUID"],
        modality=modality,
        image_id=image_id,
        file=file,
        attributes=dict(sorted(attributes.items())),
        received_at=datetime.now(UTC),
        origin=origin,
        stamp=stamp,
    )


def _json(dataset: Dataset, keywords: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in keywords:
        try:
            if keyword in dataset:
                element = dataset[keyword].to_json_dict(None, 1 << 16)
                # PostgreSQL's text holds no NUL, with which some devices fill values up.
                found[tags_of((keyword,))[0]] = _clean(element)
        except Exception:
            # Malformed bytes raise almost anything; an attribute that cannot be read is one that is not said.
            continue
    return found


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").strip().encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _clean(part) for key, part in value.items()}
    # An empty value among several is null (PS3.18 F.2.5).
    return [_clean(part) if part != "" else None for part in value] if isinstance(value, list) else value
