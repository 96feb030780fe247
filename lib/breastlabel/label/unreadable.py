"""Images that no one can open are offered to no annotator, until their file changes."""

from __future__ import annotations

import threading
import time

from breastlabel.catalog import Catalog
from breastlabel.catalog.listing import excluded_ids
from breastlabel.errors import NotFoundError

__all__ = ["UNREADABLE", "UnreadableImages"]

#: Why the catalog keeps them out.
UNREADABLE = "unreadable"
#: The note on an image that says which state of its file could not be read.
_NOTE = "unreadable_file"
Stamp = list[int]


class UnreadableImages:
    """Remembers in the catalog which images could not be read, and in which state of their files.

    Args:
        catalog: with a studies folder.
        every: seconds between two looks at the files.
    """

    def __init__(self, catalog: Catalog, *, every: float = 2.0) -> None:
        self._catalog = catalog
        self._every = every
        self._lock = threading.Lock()
        self._known: dict[str, Stamp | None] | None = None
        self._looked = 0.0

    def add(self, image_id: str) -> None:
        """Offer an image no more until its file changes; one that is kept out already stays so."""
        record = self._catalog.image(image_id)
        stamp = self._stamp(image_id)
        if record.excluded is None:
            self._catalog.update_image_info(image_id, {_NOTE: stamp})
            self._catalog.exclude(image_id, UNREADABLE)
            with self._lock:
                self._noted()[image_id] = stamp

    def look_again(self, *, now: bool = False) -> None:
        """Offer those again whose files changed. Files are looked at every few seconds, or ``now``."""
        with self._lock:
            if not now and time.monotonic() < self._looked + self._every:
                return
            self._looked = time.monotonic()
            known = self._noted()
            changed = [image_id for image_id, stamp in known.items() if self._stamp(image_id) != stamp]
            for image_id in changed:
                del known[image_id]
        for image_id in changed:
            if self._catalog.image(image_id).excluded == UNREADABLE:
                self._catalog.update_image(image_id, excluded=None)

    def _noted(self) -> dict[str, Stamp | None]:
        """Read once: images come to it through this object, and at the next start."""
        if self._known is None:
            ids = excluded_ids(self._catalog.database, UNREADABLE)
            self._known = {i: self._catalog.image_info(i).get(_NOTE) for i in ids}
        return self._known

    def _stamp(self, image_id: str) -> Stamp | None:
        try:
            state = self._catalog.path(self._catalog.image(image_id)).stat()
        except (NotFoundError, OSError):
            return None
        return [state.st_mtime_ns, state.st_size]
