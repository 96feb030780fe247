"""Whether a cancer is invasive or in situ, where a dataset says so."""

from __future__ import annotations

from collections.abc import Iterable

from breastlabel.catalog import ImageRecord
from breastlabel.imaging import LesionClass

__all__ = ["INVASIVE", "invasive_cancer", "worst_invasive"]

INVASIVE = "invasive"
"""Where an image's metadata say it: true of an invasive cancer, false of one in situ."""


def invasive_cancer(record: ImageRecord, label: LesionClass | None) -> bool | None:
    """Whether the cancer that an image shows is invasive; None where nobody says so.

    Args:
        record: the catalog's.
        label: its class as it is known now. Of an image that is not malignant nothing is known, whatever the
            dataset says: a reader may have corrected the class since.
    """
    said = record.metadata.get(INVASIVE)
    return said if isinstance(said, bool) and label is LesionClass.MALIGNANT else None


def worst_invasive(images: Iterable[bool | None]) -> bool | None:
    """Of a breast from its images: invasive before in situ; None where nothing is known of any."""
    return max((said for said in images if said is not None), default=None)
