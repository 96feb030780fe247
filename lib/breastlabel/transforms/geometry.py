"""Where a prepared image's pixels lie in its source, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError, InvalidLabelError

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray, LabelArray

__all__ = ["FITS", "LEFT", "PreparedGeometry", "ResizedGeometry", "resize_into"]

FITS = ("letterbox", "stretch")
LEFT = "letterbox-left"


class PreparedGeometry(Protocol):
    """Where the pixels of a prepared image lie in its source: what generic code needs of a geometry."""

    @property
    def source_shape(self) -> tuple[int, int]:
        """(rows, cols) of the source."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(rows, cols) of the prepared image."""
        ...

    def apply(self, image: FloatArray) -> FloatArray:
        """An image (rows, cols) of the source, on the prepared pixels."""
        ...

    def apply_mask(self, mask: LabelArray) -> LabelArray:
        """A label map (rows, cols) of the source, on the prepared pixels."""
        ...

    def restore(self, maps: FloatArray) -> FloatArray:
        """Maps (C, H, W) of the prepared image, on the source's pixels."""
        ...

    def restore_boxes(self, boxes: FloatArray) -> FloatArray:
        """Boxes (n, 4) of the prepared image, (row0, col0, row1, col1), in the source's pixels."""
        ...


@dataclass(frozen=True)
class ResizedGeometry:
    """A resize from the source's pixels to the network's, kept so that masks can return.

    Pixels are squares with their centre at (index + 1/2), so an image's outer edges map onto the prepared
    window's outer edges (the convention of ``cv2.resize`` and of torch's ``align_corners=False``).

    Attributes:
        source_shape: (rows, cols) of the source.
        size: (rows, cols) of the prepared image.
        fit: ``stretch`` fills `size`, each axis with a scale of its own; ``letterbox`` keeps the proportions,
            centres the image and pads with zeros; ``letterbox-left`` does so with the image at the left edge,
            which is a mammogram's chest wall.
    """

    source_shape: tuple[int, int]
    size: tuple[int, int]
    fit: str = "stretch"

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the source's content within the prepared image."""
        height, width = self.size
        if self.fit == "stretch":
            return 0, 0, height, width
        rows, cols = self.source_shape
        scale = min(height / rows, width / cols)
        content_height = min(height, max(1, round(rows * scale)))
        content_width = min(width, max(1, round(cols * scale)))
        top = (height - content_height) // 2
        left = 0 if self.fit == LEFT else (width - content_width) // 2
        return top, left, content_height, content_width

    def apply(self, image: FloatArray) -> FloatArray:
        """Resize an image (rows, cols) to `size`: area average where it shrinks, bilinear where it grows.

        Raises:
            InvalidImageError: `image` has not the shape `source_shape`.
        """
        if image.shape != self.source_shape:
            raise InvalidImageError(
                f"an image of {_by(self.source_shape)} pixels is required; got {_by(image.shape)}; "
                "use the geometry that was made with this image"
            )
        top, left, height, width = self.window
        content = _resize(image.astype(np.float32, copy=False), height, width)
        if (height, width) == self.size:
            return content
        prepared = np.zeros(self.size, dtype=np.float32)
        prepared[top : top + height, left : left + width] = content
        return prepared

    def apply_mask(self, mask: LabelArray) -> LabelArray:
        """Resize a label map (rows, cols) to `size`, keeping its values.

        A prepared pixel is painted where at least half of it is covered, with the value that covers most of
        it. A connected lesion that would vanish keeps the one pixel that it covers most, so that a small
        lesion never turns an image into a normal one.

        Raises:
            InvalidLabelError: `mask` has not the shape `source_shape`.
        """
        if mask.shape != self.source_shape:
            raise InvalidLabelError(
                f"a label map of {_by(self.source_shape)} pixels, as its image, is required; "
                f"got {_by(mask.shape)}; draw it on this image"
            )
        prepared = np.zeros(self.size, dtype=np.uint8)
        values = [int(value) for value in np.unique(mask) if value != 0]
        if not values:
            return prepared
        top, left, height, width = self.window
        coverage = np.stack([_resize((mask == value).astype(np.float32), height, width) for value in values])
        # Float rounding of an exact half must not decide.
        covered = coverage.sum(axis=0) >= 0.5 - 1e-4
        painted = np.array(values, dtype=np.uint8)[coverage.argmax(axis=0)]
        content = np.where(covered, painted, np.uint8(0))
        for value in values:
            _keep_vanished_lesions(mask == value, value, content)
        prepared[top : top + height, left : left + width] = content
        return prepared

    def restore(self, maps: FloatArray) -> FloatArray:
        """Bring maps (C, H, W) of the prepared image back to the source, float32 (C, rows, cols).

        The padding of a letterbox is removed. Give probabilities, not labels, and threshold afterwards.

        Raises:
            InvalidImageError: `maps` is not (C, H, W) with (H, W) = `size`.
        """
        content = self.content(maps)
        rows, cols = self.source_shape
        restored = np.empty((len(maps), rows, cols), dtype=np.float32)
        for channel, values in enumerate(content):
            resize_into(restored[channel], values)
        return restored

    def restore_boxes(self, boxes: FloatArray) -> FloatArray:
        """Bring boxes (n, 4) of the prepared image, (row0, col0, row1, col1) of edges, back to the source.

        What lies in the padding of a letterbox is cut off.
        """
        top, left, height, width = self.window
        rows, cols = self.source_shape
        restored = (boxes - np.array([top, left, top, left])) * np.array(2 * [rows / height, cols / width])
        inside: FloatArray = np.clip(restored, 0, np.array([rows, cols, rows, cols])).astype(np.float32)
        return inside

    def content(self, maps: FloatArray) -> FloatArray:
        """The part of maps (C, H, W) that shows the source, without the padding of a letterbox, float32.

        Raises:
            InvalidImageError: `maps` is not (C, H, W) with (H, W) = `size`.
        """
        if maps.ndim != 3 or maps.shape[1:] != self.size:
            raise InvalidImageError(
                f"maps (C, {self.size[0]}, {self.size[1]}) are required; got an array of shape {maps.shape}; "
                "give the network's output for the image that was prepared with this geometry"
            )
        top, left, height, width = self.window
        return maps[:, top : top + height, left : left + width].astype(np.float32, copy=False)


def _resize(image: FloatArray, rows: int, cols: int) -> FloatArray:
    """`image` (rows, cols) at another size. Each axis has the filter that its own scale needs."""
    source_rows, source_cols = image.shape
    row_filter = cv2.INTER_AREA if rows < source_rows else cv2.INTER_LINEAR
    col_filter = cv2.INTER_AREA if cols < source_cols else cv2.INTER_LINEAR
    resized: npt.NDArray[Any] = np.ascontiguousarray(image)
    if row_filter != col_filter:
        resized = cv2.resize(resized, (source_cols, rows), interpolation=row_filter)
        row_filter = col_filter
    if resized.shape != (rows, cols):
        resized = cv2.resize(resized, (cols, rows), interpolation=row_filter)
    return resized.astype(np.float32, copy=resized is image)


def resize_into(target: FloatArray, image: FloatArray) -> None:
    """Resize ``image`` (rows, cols) to fill ``target``, which may be a part of a larger array."""
    rows, cols = target.shape
    source_rows, source_cols = image.shape
    if rows < source_rows or cols < source_cols:
        target[:] = _resize(image, rows, cols)
        return
    source = np.ascontiguousarray(image, dtype=np.float32)
    # Straight into place: on a film of 14 megapixels a copy takes longer than the interpolation.
    written = cv2.resize(source, (cols, rows), dst=target, interpolation=cv2.INTER_LINEAR)
    if not np.shares_memory(written, target):
        target[:] = written


def _keep_vanished_lesions(region: npt.NDArray[np.bool_], value: int, content: LabelArray) -> None:
    """Paint, in place, one pixel for each component of `region` that has none in `content`."""
    count, components = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
    rows, cols = np.nonzero(components)
    component = components[rows, cols].astype(np.int64) - 1
    height, width = content.shape
    # The prepared pixel in which each source pixel's centre lies.
    row = ((2 * rows + 1) * height) // (2 * region.shape[0])
    col = ((2 * cols + 1) * width) // (2 * region.shape[1])
    cells, covered = np.unique(component * (height * width) + row * width + col, return_counts=True)
    owner, cell = np.divmod(cells, height * width)
    kept = np.zeros(count - 1, dtype=bool)
    np.logical_or.at(kept, owner, content.flat[cell] == value)
    for vanished in np.flatnonzero(~kept):
        own = owner == vanished
        content.flat[cell[own][covered[own].argmax()]] = value


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
