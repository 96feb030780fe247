"""What a reader may say of an image beside the outline."""

from __future__ import annotations

from breastlabel.errors import UnknownNameError
from breastlabel.label.options import Options

__all__ = ["BIRADS", "LESION_TYPES", "reader_notes"]

#: ACR BI-RADS assessment categories, 5th edition.
BIRADS = ("0", "1", "2", "3", "4", "4A", "4B", "4C", "5", "6")
LESION_TYPES = ("mass", "calcification", "architectural distortion", "asymmetry")


def reader_notes(options: Options) -> dict[str, str]:
    """``birads`` and ``lesion_type`` of a request, as far as they are given.

    Raises:
        UnknownNameError: another category or type than there is.
    """
    notes: dict[str, str] = {}
    birads, kind = options.text("birads"), options.text("lesion_type")
    if birads is not None:
        if birads.upper() not in BIRADS:
            raise UnknownNameError("birads", birads[:16], BIRADS)
        notes["birads"] = birads.upper()
    if kind is not None:
        if kind.lower() not in LESION_TYPES:
            raise UnknownNameError("lesion_type", kind[:32], LESION_TYPES)
        notes["lesion_type"] = kind.lower()
    return notes
