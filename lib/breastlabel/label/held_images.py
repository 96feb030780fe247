"""Images that were asked about lately, so that a second look at one neither reads nor prepares it again."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from breastlabel.imaging import BreastImage, Modality, read_image
from breastlabel.imaging.stamps import Stamp, stamp_of
from breastlabel.transforms.prepared import Prepared
from breastlabel.transforms.registry import Preparation

__all__ = ["HELD_BYTES", "HeldImages"]

#: Eleven mammograms of 4096 x 3328 pixels: both breasts of a patient with an older exam, and some.
HELD_BYTES = 640 * 2**20


class _Key(NamedTuple):
    path: Path
    stamp: Stamp | None
    modality: Modality


@dataclass
class _Held:
    """An image, and what preparations (by their configuration) made of it."""

    image: BreastImage
    prepared: dict[str, Prepared] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return self.image.pixels.nbytes + sum(p.image.nbytes for p in self.prepared.values())


class HeldImages:
    """Reads and prepares images, and holds those that were asked for last.

    A file that was changed since is read again. Threads may share one; two that ask for the same new file at
    once both read it. What is handed out must not be changed: the arrays are read-only.

    Args:
        limit: bytes of pixels, read and prepared, that are held at most.
    """

    def __init__(self, *, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[_Key, _Held] = OrderedDict()

    def read(self, path: Path, modality: Modality) -> BreastImage:
        """The image of a file.

        Raises:
            InvalidImageError: as `read_image`; nothing is held of a file that cannot be read.
        """
        # Stamped before it is read: a file that changes meanwhile is read again the next time.
        key = _Key(path, stamp_of(path), modality)
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
                return held.image
        image = read_image(path, modality=modality)
        image.pixels.flags.writeable = False
        with self._lock:
            self._held[key] = _Held(image)
            self._shrink()
        return image

    def prepare(self, preparation: Preparation, image: BreastImage) -> Prepared:
        """What a preparation makes of an image; it is held as long as the image is, if that is.

        Raises:
            InvalidImageError: as the preparation does.
        """
        name = json.dumps(preparation.config(), sort_keys=True)
        with self._lock:
            held = next((held for held in self._held.values() if held.image is image), None)
            if held is not None and name in held.prepared:
                return held.prepared[name]
        prepared = preparation(image.pixels)
        if held is not None:
            prepared.image.flags.writeable = False
            with self._lock:
                held.prepared[name] = prepared
                self._shrink()
        return prepared

    def _shrink(self) -> None:
        """Let go of what was asked for longest ago, until the rest fits."""
        total = sum(held.nbytes for held in self._held.values())
        while total > self._limit and self._held:
            total -= self._held.popitem(last=False)[1].nbytes
