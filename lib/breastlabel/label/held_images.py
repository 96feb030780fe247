"""Images that were asked about lately, so that a second look at one does not read its file again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from breastlabel.imaging import BreastImage, Modality, read_image
from breastlabel.imaging.stamps import Stamp, stamp_of

__all__ = ["HELD_BYTES", "HeldImages"]

#: A dozen mammograms of 4096 x 3328 pixels: both breasts of a patient with an older exam, and some.
HELD_BYTES = 640 * 2**20


class _Key(NamedTuple):
    path: Path
    stamp: Stamp | None
    modality: Modality


class HeldImages:
    """Reads images, and holds those that were asked for last.

    A file that was changed since is read again. Threads may share one; two that ask for the same new file at
    once both read it.

    Args:
        limit: bytes of pixels that are held at most.
    """

    def __init__(self, *, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._images: OrderedDict[_Key, BreastImage] = OrderedDict()

    def read(self, path: Path, modality: Modality) -> BreastImage:
        """The image of a file; its pixels must not be changed.

        Raises:
            InvalidImageError: as `read_image`; nothing is held of a file that cannot be read.
        """
        # Stamped before it is read: a file that changes meanwhile is read again the next time.
        key = _Key(path, stamp_of(path), modality)
        with self._lock:
            held = self._images.get(key)
            if held is not None:
                self._images.move_to_end(key)
                return held
        image = read_image(path, modality=modality)
        image.pixels.flags.writeable = False
        with self._lock:
            self._images[key] = image
            self._drop()
        return image

    def _drop(self) -> None:
        held = sum(image.pixels.nbytes for image in self._images.values())
        while held > self._limit and self._images:
            held -= self._images.popitem(last=False)[1].pixels.nbytes
