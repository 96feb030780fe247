"""How a checkpoint's preparation is applied, so that a caller may keep what it gave."""

from __future__ import annotations

from collections.abc import Callable

from breastlabel.imaging.image import BreastImage
from breastlabel.transforms.prepared import Prepared
from breastlabel.transforms.registry import Preparation

__all__ = ["Prepare", "prepare_now"]

Prepare = Callable[[Preparation, BreastImage], Prepared]


def prepare_now(preparation: Preparation, image: BreastImage) -> Prepared:
    """Each time anew."""
    return preparation(image.pixels)
