"""Looks now and then whether images that no one could open can be opened now."""

from __future__ import annotations

import threading
import time

from breastlabel.catalog import Catalog
from breastlabel.catalog.unreadable import offer_changed_again

__all__ = ["UnreadableImages"]


class UnreadableImages:
    """Offers unreadable images again when their files change, at the cost of one look every few seconds.

    Args:
        catalog: with a studies folder.
        every: seconds between two looks at the files.
    """

    def __init__(self, catalog: Catalog, *, every: float = 2.0) -> None:
        self._catalog = catalog
        self._every = every
        self._lock = threading.Lock()
        self._next_look = 0.0

    def look_again(self, *, now: bool = False) -> None:
        """Look where it is time to, or ``now``."""
        with self._lock:
            if not now and time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + self._every
        offer_changed_again(self._catalog)
