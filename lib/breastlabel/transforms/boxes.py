"""Boxes around what is painted in a mask, and how far two boxes agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["BoxArray", "box_ious", "component_boxes"]

BoxArray = npt.NDArray[np.float32]
"""(n, 4) of (row0, col0, row1, col1): edges of pixels, so that row1 - row0 is the height."""

_EIGHT = np.ones((3, 3), dtype=bool)


def component_boxes(mask: npt.NDArray[Any]) -> BoxArray:
    """The bounding box of each 8-connected component of a mask (rows, cols), float32 (n, 4)."""
    components, _ = ndimage.label(np.asarray(mask) > 0, structure=_EIGHT)
    found = [(r.start, c.start, r.stop, c.stop) for r, c in ndimage.find_objects(components)]
    return np.asarray(found, np.float32).reshape(-1, 4)


def box_ious(first: BoxArray, second: BoxArray) -> npt.NDArray[np.float32]:
    """Intersection over union of each of n boxes with each of m, (n, m); 0 for boxes without an area."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - overlap
    return np.asarray(np.where(union > 0, overlap / np.maximum(union, 1e-12), 0), np.float32)
