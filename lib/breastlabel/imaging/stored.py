"""Pixels as a file stores them, before they become a grey image or a label map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import FloatArray, Geometry

__all__ = ["MAX_PIXELS", "StoredImage", "check_size", "to_grey", "without_alpha"]

MAX_PIXELS = 150_000_000
"""Largest image that is decoded, in pixels: ten times a full-field mammogram (4096 x 3328)."""

# ITU-R BT.601, as in JPEG and DICOM's YBR_FULL (PS3.3 C.7.6.3.1.2).
LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)


class StoredImage(NamedTuple):
    """What a file holds.

    Attributes:
        array: (rows, cols) or (rows, cols, channels), in the file's own type and index order.
        geometry: the file's own space.
        spacing: (between rows, between columns) in mm; None where the file does not know it.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    spacing: tuple[float, float] | None


def check_size(sizes: Sequence[int], name: str) -> None:
    """Refuse an image that is empty or too large, from its header alone, before anything is decoded."""
    count = 1
    for size in sizes:
        count *= int(size)
    shown = " x ".join(str(int(size)) for size in sizes)
    if count < 1:
        raise InvalidImageError(f"an image with pixels is required; {name} is {shown}; export it again")
    if count > MAX_PIXELS:
        raise InvalidImageError(
            f"at most {MAX_PIXELS // 1_000_000} megapixels can be read; {name} is {shown}; "
            "export it at a lower resolution"
        )


def without_alpha(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(rows, cols[, channels]) without the last of 2 or 4 channels; one channel becomes (rows, cols)."""
    if array.ndim == 2:
        return array
    channels = array.shape[2]
    kept = array[:, :, : channels - 1] if channels in (2, 4) else array
    return kept[:, :, 0] if kept.shape[2] == 1 else kept


def to_grey(array: npt.NDArray[Any]) -> FloatArray:
    """Stored pixels as float32 (rows, cols): alpha dropped, colour by luminance, values otherwise kept.

    Equal channels give that channel exactly, not its rounded luminance.
    """
    array = without_alpha(array)
    if array.ndim == 2:
        return np.ascontiguousarray(array, dtype=np.float32)
    if array.shape[2] != 3:
        raise InvalidImageError(
            f"1 (grey) or 3 (colour) channels are required; got {array.shape[2]}; export a grey image"
        )
    first = array[:, :, 0]
    if np.array_equal(first, array[:, :, 1]) and np.array_equal(first, array[:, :, 2]):
        return np.ascontiguousarray(first, dtype=np.float32)
    return np.asarray(array.astype(np.float32) @ np.array(LUMINANCE_WEIGHTS, np.float32), np.float32)
