"""Pictures that were made lately, on the disk; the oldest go where there are too many."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["CACHE_BYTES", "PictureCache"]

logger = logging.getLogger(__name__)

#: Some ten thousand thumbnails; a worklist shows a few hundred.
CACHE_BYTES = 256 * 2**20


class PictureCache:
    """PNG files by what they were made of. Threads and processes may share a folder; it may be deleted.

    Args:
        folder: made when the first picture is kept.
        limit: bytes of pictures that are kept at most.
    """

    def __init__(self, folder: Path, *, limit: int = CACHE_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def get(self, made_of: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """The picture made of these, made now where it is not kept.

        Args:
            made_of: all that it depends on, such as the image's id and its file's stamp.
        """
        # A digest: what it is made of may be a name, and file names are seen by others.
        name = hashlib.sha256(repr(made_of).encode("utf-8", "surrogatepass")).hexdigest()
        path = self._folder / name[:2] / f"{name}.png"
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            os.utime(path)
            return data
        data = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(path, data)
            self._kept(len(data))
        except OSError as error:
            # A full disk keeps nobody from seeing a picture.
            logger.warning("a picture could not be kept: %s", error.strerror)
        return data

    def _kept(self, size: int) -> None:
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(status.st_size for _, status in self._files())
            else:
                self._bytes += size
            if self._bytes > self._limit:
                self._shrink()

    def _shrink(self) -> None:
        """Let go of what was looked at longest ago, down to three quarters, so that it is done seldom."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        left = sum(status.st_size for _, status in files)
        for path, status in files:
            if left <= self._limit * 3 // 4:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                left -= status.st_size
        self._bytes = left

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self._folder.glob("*/*.png"):
            with contextlib.suppress(OSError):
                found.append((path, path.stat()))
        return found
