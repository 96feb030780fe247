"""Which image to offer next. ``first`` and ``random`` need no model."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

__all__ = ["First", "Random"]


class First(Strategy):
    """The unlabelled image whose id comes first in the alphabet."""

    def __init__(self) -> None:
        super().__init__("The first image without a label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str] | None:
        """``{"id": image id}``, or None where every image has a label."""
        waiting = datastore.get_unlabeled_images()
        return {"id": waiting[0]} if waiting else None


class Random(Strategy):
    """Any unlabelled image, with equal chances.

    An image that was just offered is passed over while there are others, so that two annotators who ask
    one after the other do not get the same one; where all were just offered, the one offered longest ago
    comes again.

    Args:
        hold: seconds for which an offered image is passed over.
        seed: makes the choice reproducible.
    """

    def __init__(self, *, hold: float = 600.0, seed: int | None = None) -> None:
        super().__init__("A random image without a label")
        self._hold = hold
        self._random = random.Random(seed)
        self._offered: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str] | None:
        """``{"id": image id}``, or None where every image has a label."""
        waiting = datastore.get_unlabeled_images()
        if not waiting:
            return None
        with self._lock:
            now = time.monotonic()
            self._offered = {k: t for k, t in self._offered.items() if now - t < self._hold}
            fresh = [image for image in waiting if image not in self._offered]
            chosen = (
                self._random.choice(fresh) if fresh else min(waiting, key=lambda image: self._offered[image])
            )
            self._offered[chosen] = now
        return {"id": chosen}
