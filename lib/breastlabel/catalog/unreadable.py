"""Images that no one can open: they are offered to nobody until their files change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from breastlabel.catalog.tables import images_table
from breastlabel.imaging.stamps import Stamp, stamp_of

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["UNREADABLE", "keep_out", "offer_changed_again"]

#: Why the catalog keeps them out.
UNREADABLE = "unreadable"
#: The note on such an image: the stamp of the file that could not be read.
_NOTE = "unreadable_file"


def keep_out(catalog: Catalog, image_id: str, stamp: Stamp | None) -> None:
    """Offer an image no more that could not be read; one that is kept out already stays as it is.

    Args:
        stamp: of the file, taken before it was read, so that a change in between shows.
    """
    if catalog.image(image_id).excluded is None:
        catalog.update_image_info(image_id, {_NOTE: stamp})
        catalog.exclude(image_id, UNREADABLE)


def offer_changed_again(catalog: Catalog) -> None:
    """Let those wait again whose files changed, whichever process kept them out."""
    column = images_table.c
    query = select(column.image_id, column.file, column.info).where(column.excluded == UNREADABLE)
    with catalog.database.read() as connection:
        rows = connection.execute(query).all()
    changed = [
        image_id for image_id, file, info in rows if not _is_noted(catalog.studies, file, info.get(_NOTE))
    ]
    if changed:
        catalog.update_images({image_id: {"excluded": None} for image_id in changed})


def _is_noted(studies: Path | None, file: str, noted: list[int] | None) -> bool:
    assert studies is not None
    stamp = stamp_of(studies / file)
    return noted == (None if stamp is None else list(stamp))
