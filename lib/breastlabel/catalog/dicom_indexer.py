"""Brings the DICOM index up to date while a server runs, without a hurry."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["DicomIndexer"]

_log = logging.getLogger(__name__)


class DicomIndexer:
    """Looks at images that the index does not know, in a thread of its own.

    First at all of a folder that was catalogued before, and at those that changed while no server ran; then
    whenever the number of images changes: an import may add images in folders that nobody watches. What is
    asked for meanwhile (`DicomIndex.of_image`) is looked at in between.

    Args:
        catalog: one with a studies folder; it stays open as long as this runs.
        pause: seconds before the first look, so that a server's start does not wait for it, and between two.
        share: of the time that is worked; the rest is left to those who wait for an answer.
    """

    def __init__(self, catalog: Catalog, *, pause: float = 3.0, share: float = 0.5) -> None:
        self._catalog = catalog
        self._pause = pause
        self._share = share
        self._stop = threading.Event()
        self._is_done = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_done(self) -> bool:
        """Whether all images that there were at the start have been looked at."""
        return self._is_done.is_set()

    def start(self) -> None:
        """Begin; returns at once."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="dicom-indexer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End soon; what was looked at stays known."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _work(self) -> None:
        last: int | None = None
        while not self._stop.wait(self._pause):
            try:
                # Counted, not listed: it costs the same for any number of images.
                total = self._catalog.counts().total
                if total != last:
                    self._catalog.dicom.catch_up(
                        stopped=_Breather(self._stop, self._share), changed=last is None
                    )
                    last = total
            except Exception as error:
                # A database that is away must not end it. Not the message: it may name a patient's file.
                _log.warning("The DICOM index could not be brought up to date: %s", type(error).__name__)
                continue
            if not self._stop.is_set():
                self._is_done.set()


class _Breather:
    """Says whether to stop; asked between two images, it rests as long as was worked."""

    def __init__(self, stop: threading.Event, share: float) -> None:
        self._stop = stop
        self._rest = 1 / share - 1
        self._since = time.monotonic()

    def __call__(self) -> bool:
        worked = time.monotonic() - self._since
        if worked > 0.05:
            self._stop.wait(worked * self._rest)
            self._since = time.monotonic()
        return self._stop.is_set()
