"""Values of a DICOM header as plain Python; what is absent or malformed is None or empty, never an error.

pydicom decodes an element when it is asked for, and malformed bytes raise almost anything: hence the wide
``except`` in the one place through which all values pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "Code",
    "age",
    "code_of",
    "codes",
    "day",
    "is_uid",
    "items",
    "lift_functional_groups",
    "member",
    "number",
    "numbers",
    "text",
    "words",
]

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
# Older devices write SNOMED's legacy codes under any of these names (PS3.16 8.1).
_LEGACY_SNOMED = frozenset({"SRT", "SNM3", "99SDM"})
# The macros of an enhanced object that hold what a plain image has at its top level.
_MACROS = (
    "FrameAnatomySequence",
    "PixelMeasuresSequence",
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
)


class Code(NamedTuple):
    """A coded concept; legacy SNOMED schemes are all ``SRT``."""

    scheme: str
    value: str


def text(dataset: Dataset, keyword: str) -> str | None:
    """The value in one line, without blanks around it; several values are joined by a backslash."""
    joined = "\\".join(_strings(dataset, keyword))
    return " ".join(joined.replace("\0", " ").split()) or None


def is_uid(value: object) -> bool:
    """Whether a text is a UID (PS3.5 9): digits and dots, 64 at most. Leading zeros, which occur, pass."""
    return isinstance(value, str) and len(value) <= _LONGEST_UID and _UID.fullmatch(value) is not None


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values, upper case; empty ones are kept, because their places mean something (Image Type)."""
    return tuple(value.strip(" \0").upper() for value in _strings(dataset, keyword))


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value, if it is a finite number."""
    values = _floats(_strings(dataset, keyword)[:1])
    return values[0] if values else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """All values, if each is a finite number; None where there is none."""
    return _floats(_strings(dataset, keyword)) or None


def day(dataset: Dataset, *keywords: str) -> date | None:
    """The first of several dates or date-times that is one."""
    for keyword in keywords:
        try:
            return datetime.strptime((text(dataset, keyword) or "")[:8], "%Y%m%d").date()
        except ValueError:
            continue
    return None


def age(dataset: Dataset, keyword: str = "PatientAge") -> float | None:
    """DICOM's Age String (PS3.5 6.2), such as 045Y, in years."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text(dataset, keyword) or "")
    return int(match[1]) * _YEARS[match[2]] if match else None


def member(kind: Any, value: object) -> Any:
    """The member of an enum with that value; None for values outside the vocabulary, which are common."""
    try:
        return kind(str(value or "").strip().upper())
    except ValueError:
        return None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    from pydicom import Dataset
    from pydicom.sequence import Sequence as DicomSequence

    value = _value(dataset, keyword)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, DicomSequence) else []


def code_of(item: Dataset) -> Code | None:
    """The concept of one item of a code sequence (PS3.3 8.8)."""
    scheme, value = text(item, "CodingSchemeDesignator"), text(item, "CodeValue")
    if not scheme or not value:
        return None
    scheme = scheme.upper()
    return Code("SRT" if scheme in _LEGACY_SNOMED else scheme, value)


def codes(dataset: Dataset, keyword: str) -> list[Code]:
    """The concepts of a code sequence."""
    return [code for item in items(dataset, keyword) if (code := code_of(item)) is not None]


def lift_functional_groups(dataset: Dataset) -> None:
    """Give an enhanced object's single frame the plain attributes of its functional groups (C.7.6.16).

    What is stated at the top level already stays as it is.
    """
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in items(dataset, groups)[:1]:
            for macro in _MACROS:
                for content in items(group, macro)[:1]:
                    for tag in content.keys():  # noqa: SIM118, a Dataset iterates over its elements
                        if tag not in dataset:
                            dataset[tag] = content.get_item(tag)


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:
        return None


def _strings(dataset: Dataset, keyword: str) -> list[str]:
    value = _value(dataset, keyword)
    if value is None:
        return []
    if isinstance(value, bytes):
        return [value.decode("ascii", "replace")]
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [str(value)]
    return [str(part) for part in value]


def _floats(values: list[str]) -> tuple[float, ...]:
    try:
        found = tuple(float(value) for value in values)
    except ValueError:
        return ()
    return found if all(map(math.isfinite, found)) else ()
