"""Who wrote a result, and under which UID: what makes our own DICOM objects known as such.

A UID of ours is made from what the object says, so that the same result is the same object however often it
is written, and it carries a mark in itself. A PACS names the UID in every answer, while it may leave out who
made the object; and a viewer that saves a correction may copy the maker's name, but never the UID.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from breastlabel import __version__
from breastlabel.errors import MissingDependencyError
from breastlabel.findings.dicom_codes import ARTIFICIAL_INTELLIGENCE, Concept

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["EQUIPMENT", "MANUFACTURER", "Algorithm", "is_our_uid", "is_ours", "our_uid", "require_highdicom"]

MANUFACTURER = "breastlabel"
"""Manufacturer (0008,0070) of all that we write."""

EQUIPMENT: Mapping[str, Any] = {
    "manufacturer": MANUFACTURER,
    "manufacturer_model_name": MANUFACTURER,
    "software_versions": __version__,
    "device_serial_number": "1",
}
"""Enhanced general equipment (PS3.3 C.7.5.2) of all that we write, as highdicom names it."""

_MARK_BITS, _KEPT_BITS = 48, 14
_MARK_KEY = b"breastlabel DICOM result"


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What made a result.

    Attributes:
        name: of the model, such as ``mammography``.
        version: of its checkpoint.
        family: CID 7162.
        parameters: what else is needed to get the result again: names and values.
    """

    name: str
    version: str
    family: Concept = ARTIFICIAL_INTELLIGENCE
    parameters: tuple[tuple[str, str], ...] = ()


def our_uid(*parts: str | bytes) -> str:
    """A UID of ours, equal for equal parts: a version 8 UUID (RFC 9562 5.8) under 2.25 (PS3.5 B.2).

    74 bits are a digest of the parts, the last 48 a mark by which `is_our_uid` knows it.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    number = int.from_bytes(digest.digest()[:10], "big") >> 6
    return f"2.25.{_marked(number)}"


def is_our_uid(uid: str) -> bool:
    """Whether `our_uid` made it."""
    root, _, digits = uid.rpartition(".")
    if root != "2.25" or not (digits.isascii() and digits.isdecimal() and len(digits) <= 39):
        return False
    number = int(digits)
    return number == _marked(_digest_of(number))


def is_ours(dataset: Dataset) -> bool:
    """Whether a SEG or SR is one that this software wrote, unchanged; any dataset with a SOP Instance UID."""
    return is_our_uid(str(dataset.get("SOPInstanceUID") or ""))


def require_highdicom() -> None:
    """Say what to install where highdicom is missing.

    Raises:
        MissingDependencyError: it is.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "highdicom is required to write DICOM SEG and SR; it is not installed; "
            "install breastlabel[server]"
        ) from error
    # It tells the UIDs of what it copies from.
    logging.getLogger("highdicom").setLevel(logging.WARNING)


def _marked(digest: int) -> int:
    """74 bits and their mark as a UUID: custom_a 48, version 4, custom_b 12, variant 2, custom_c 62."""
    mark = hashlib.blake2b(digest.to_bytes(10, "big"), digest_size=_MARK_BITS // 8, key=_MARK_KEY).digest()
    a, b, kept = digest >> 26, (digest >> _KEPT_BITS) & 0xFFF, digest & 0x3FFF
    c = kept << _MARK_BITS | int.from_bytes(mark, "big")
    return a << 80 | 8 << 76 | b << 64 | 0b10 << 62 | c


def _digest_of(number: int) -> int:
    """The 74 bits of a UUID made by `_marked`; of any other number, some 74 bits."""
    a, b, kept = number >> 80, (number >> 64) & 0xFFF, (number >> _MARK_BITS) & 0x3FFF
    return ((a & 0xFFFFFFFFFFFF) << 26) | b << _KEPT_BITS | kept
