"""Probability map -> clean binary mask (P1, section IV: threshold, then erosion and dilation)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.morphology import disk

from breastlabel.imaging.image import FloatArray

__all__ = ["BoolArray", "clean_mask", "fill_holes", "keep_components", "threshold"]

BoolArray = npt.NDArray[np.bool_]


def clean_mask(
    mask: BoolArray,
    *,
    radius: int = 1,
    min_area_fraction: float = 0.0,
    largest_only: bool = False,
) -> BoolArray:
    """Open and close with a disk, fill holes, then drop what is too small to be a lesion.

    Args:
        mask: (rows, cols).
        radius: of the disk, in pixels; 0 leaves the outline as it is.
        min_area_fraction: components smaller than this fraction of the image's area are removed.
        largest_only: keep the largest component only.

    Returns:
        (rows, cols), a new array.
    """
    cleaned = np.zeros(mask.shape, dtype=np.bool_)
    box = _box(mask, margin=2 * radius + 2)
    if box is None:
        return cleaned
    # Nothing lies outside, and on a film of 4096 x 3328 pixels the box is a hundredth of the work.
    binary = mask[box].astype(np.uint8)
    if radius > 0:
        kernel = disk(radius, dtype=np.uint8)
        # OpenCV's default border never erodes or dilates from outside, so a lesion cut by the image's
        # edge keeps its straight side.
        binary = cv2.morphologyEx(binary, cv2.MORPH_OPEN, kernel)
        binary = cv2.morphologyEx(binary, cv2.MORPH_CLOSE, kernel)
    filled = fill_holes(binary.astype(np.bool_))
    cleaned[box] = keep_components(filled, min_area=min_area_fraction * mask.size, largest_only=largest_only)
    return cleaned


def threshold(probability: FloatArray, level: float) -> BoolArray:
    """Pixels whose probability is at least ``level``."""
    result: BoolArray = probability >= level
    return result


def fill_holes(mask: BoolArray) -> BoolArray:
    """Fill background regions that are not 4-connected to the image's border.

    Foreground is 8-connected throughout this package, so background is 4-connected.
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2, flags=4)
    result: BoolArray = padded[1:-1, 1:-1] != 2
    return result


def keep_components(mask: BoolArray, *, min_area: float = 0.0, largest_only: bool = False) -> BoolArray:
    """Keep 8-connected components of at least ``min_area`` pixels, or only the largest of them."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    keep = areas >= min_area
    keep[0] = False
    if largest_only and count > 1:
        largest = 1 + int(np.argmax(areas[1:]))
        keep[:largest] = False
        keep[largest + 1 :] = False
    result: BoolArray = keep[labels]
    return result


def _box(mask: BoolArray, *, margin: int) -> tuple[slice, slice] | None:
    """Where a mask is true and ``margin`` pixels around, within the image; None for an empty one."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(cols[0]) - margin, 0), int(cols[-1]) + margin + 1),
    )
