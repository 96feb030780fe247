"""What every preparation gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breastlabel.transforms.geometry import PreparedGeometry

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["Prepared"]


class Prepared(NamedTuple):
    """An image as a network takes it.

    Attributes:
        image: float32 (H, W) in [0, 1].
        geometry: the way back to the source's pixels.
    """

    image: FloatArray
    geometry: PreparedGeometry
