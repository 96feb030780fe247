"""Who drew a segmentation, with what, and what else of it is kept with the labels."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from breastlabel.imaging.dicom_values import items, text, words
from breastlabel.label.options import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom import Dataset

__all__ = ["creator", "seg_notes", "viewer"]

#: What viewers write where nobody has said who draws.
_NOBODY = frozenset(
    (
        "unknown",
        "unspecified",
        "anonymous",
        "anonymized",
        "none",
        "user",
        "user1",
        "reader",
        "reader1",
        "ohif",
    )
)
_PATIENT = ("PatientName", "PatientID", "OtherPatientNames", "OtherPatientIDs", "PatientBirthName")


def creator(dataset: Dataset, source: Dataset) -> str | None:
    """Content Creator's Name (0070,0084), unless it names the patient, or nobody.

    A name that shares a part with one of the patient's is left out: an author less is no harm.

    Args:
        source: an image of the patient, pixels not needed.
    """
    name = short_name((text(dataset, "ContentCreatorName") or "").replace("^", " "))
    if name is None:
        return None
    parts = _parts(name)
    patient = {
        part
        for header in (dataset, source)
        for keyword in _PATIENT
        for part in _parts(text(header, keyword) or "")
    }
    if not parts or parts & patient or parts <= _NOBODY:
        return None
    return name


def viewer(dataset: Dataset) -> str | None:
    """The program: Manufacturer and model; where these say nothing, what the first segment was drawn with."""
    said = [text(dataset, keyword) for keyword in ("Manufacturer", "ManufacturerModelName")]
    kept = [s for s in dict.fromkeys(said) if s and s.casefold() not in _NOBODY]
    if not kept:
        kept = [
            s for item in items(dataset, "SegmentSequence")[:1] if (s := text(item, "SegmentAlgorithmName"))
        ]
    return short_name(" ".join(kept))


def seg_notes(dataset: Dataset, given: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the labels' `info`.

    Args:
        given: what the request said, such as ``birads`` and ``lesion_type``.
    """
    notes = {
        "source": "dicom-seg",
        "viewer": viewer(dataset),
        "segmentation_type": "".join(words(dataset, "SegmentationType")[:1])[:16] or None,
        "drawn_at": _drawn_at(dataset),
        **given,
    }
    return {name: value for name, value in notes.items() if value is not None}


def _drawn_at(dataset: Dataset) -> str | None:
    day = text(dataset, "ContentDate") or ""
    clock = (text(dataset, "ContentTime") or "").replace(":", "")
    for value, form in ((day + clock[:6], "%Y%m%d%H%M%S"), (day, "%Y%m%d")):
        try:
            return datetime.strptime(value, form).isoformat()
        except ValueError:
            continue
    return None


def _parts(name: str) -> set[str]:
    return {part for part in re.split(r"[\W_]+", name.casefold()) if len(part) > 1}
