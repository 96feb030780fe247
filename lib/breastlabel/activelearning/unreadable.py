"""Images that no one can open: they are offered to nobody until their file changes."""

from __future__ import annotations

from breastlabel.activelearning.pool_reader import ImageFile, Stamp, stamp_of
from breastlabel.catalog import Catalog

__all__ = ["NOTE", "UNREADABLE", "keep_out", "offer_again"]

UNREADABLE = "unreadable"
"""Why the catalog keeps them out."""

NOTE = "unreadable_file"
"""The note on such an image: the state of its file, (time of its last change in ns, size in bytes)."""


def keep_out(catalog: Catalog, image_id: str, stamp: Stamp | None) -> None:
    """Offer an image no more that could not be read with this stamp."""
    catalog.update_image_info(image_id, {NOTE: _noted(stamp)})
    catalog.exclude(image_id, UNREADABLE)


def offer_again(catalog: Catalog, file: ImageFile) -> bool:
    """Whether a kept-out image is worth another try because its file changed; then it waits again."""
    if catalog.image_info(file.image_id).get(NOTE) == _noted(stamp_of(file.path)):
        return False
    catalog.update_image(file.image_id, excluded=None)
    return True


def _noted(stamp: Stamp | None) -> list[int] | None:
    return None if stamp is None else [stamp[1], stamp[0]]
