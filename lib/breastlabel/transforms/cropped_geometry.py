"""A crop, turned so that the chest wall is at the left, then resized; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.transforms.geometry import LEFT, ResizedGeometry, resize_into

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray, LabelArray

__all__ = ["CroppedGeometry"]


@dataclass(frozen=True)
class CroppedGeometry:
    """Crop and flip are exact; only the resize interpolates, see `ResizedGeometry`.

    Attributes:
        source_shape: (rows, cols) of the source.
        size: (rows, cols) of the prepared image.
        box: (top, left, height, width) of the crop, within the source.
        flipped: whether left and right are exchanged.
        fit: of `ResizedGeometry`.
    """

    source_shape: tuple[int, int]
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    flipped: bool = False
    fit: str = LEFT

    def __post_init__(self) -> None:
        top, left, height, width = self.box
        rows, cols = self.source_shape
        inside = top >= 0 and left >= 0 and top + height <= rows and left + width <= cols
        if not inside or min(height, width) < 1:
            raise InvalidImageError(
                f"a crop (top, left, height, width) within {rows} x {cols} pixels is required; got {self.box}"
            )

    @cached_property
    def resized(self) -> ResizedGeometry:
        """From the crop's pixels to the prepared ones."""
        return ResizedGeometry(self.box[2:], self.size, self.fit)

    def apply(self, image: FloatArray) -> FloatArray:
        """Crop, turn and resize an image (rows, cols).

        Raises:
            InvalidImageError: `image` has not the shape `source_shape`.
        """
        if image.shape != self.source_shape:
            raise InvalidImageError(
                f"an image of {self.source_shape} (rows, cols) is required; got {image.shape}; "
                "use the geometry that was made with this image"
            )
        return self.resized.apply(self._crop(image))

    def apply_mask(self, mask: LabelArray) -> LabelArray:
        """Crop, turn and resize a label map (rows, cols), keeping its values.

        What is painted outside the crop, where no breast is, is lost.

        Raises:
            InvalidLabelError: `mask` has not the shape `source_shape`.
        """
        if mask.shape != self.source_shape:
            raise InvalidLabelError(
                f"a label map of {self.source_shape} (rows, cols), as its image, is required; "
                f"got {mask.shape}; draw it on this image"
            )
        return self.resized.apply_mask(self._crop(mask))

    def restore(self, maps: FloatArray) -> FloatArray:
        """Bring maps (C, H, W) of the prepared image back, float32 (C, rows, cols), 0 outside the crop.

        Give probabilities, not labels, and threshold afterwards.

        Raises:
            InvalidImageError: `maps` is not (C, H, W) with (H, W) = `size`.
        """
        content = self.resized.content(maps)
        top, left, height, width = self.box
        restored = np.zeros((len(maps), *self.source_shape), np.float32)
        for channel, values in enumerate(content):
            # Turned while it is small; a resize is the same in a mirror.
            turned = values[:, ::-1] if self.flipped else values
            resize_into(restored[channel, top : top + height, left : left + width], turned)
        return restored

    def restore_boxes(self, boxes: FloatArray) -> FloatArray:
        """Bring boxes (n, 4) of the prepared image, (row0, col0, row1, col1) of edges, back to the source."""
        top, left, _, width = self.box
        content = self.resized.restore_boxes(boxes)
        if self.flipped:
            content[:, [1, 3]] = width - content[:, [3, 1]]
        return content + np.array([top, left, top, left], np.float32)

    def _crop(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        top, left, height, width = self.box
        content = image[top : top + height, left : left + width]
        return content[:, ::-1] if self.flipped else content
