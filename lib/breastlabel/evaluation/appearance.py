"""How visible an outlined lesion is: its contrast, and how sharp its border is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["border_sharpness", "lesion_contrast"]


def lesion_contrast(pixels: npt.NDArray[Any], mask: npt.NDArray[Any]) -> float:
    """Difference of mean grey between a lesion and the tissue around it, as a share of the image's range.

    The tissue around is a ring half as wide as the radius of the circle with the lesion's area; the range
    is that between the 1st and 99th percentile. NaN without a lesion or without tissue around it.
    """
    return _step(pixels, mask, width=0.5 * _radius(mask), whole_lesion=True)


def border_sharpness(pixels: npt.NDArray[Any], mask: npt.NDArray[Any]) -> float:
    """The same difference across the outline only: a thin band inside against one outside.

    Each band is 10 % of that radius wide, at least 2 pixels. A diffuse border changes little there.
    """
    return _step(pixels, mask, width=max(2.0, 0.1 * _radius(mask)), whole_lesion=False)


def _step(pixels: npt.NDArray[Any], mask: npt.NDArray[Any], *, width: float, whole_lesion: bool) -> float:
    inside = np.asarray(mask) > 0
    if not inside.any():
        return float("nan")
    margin = math.ceil(width) + 1
    rows, cols = ndimage.find_objects(inside.astype(np.uint8))[0]
    box = (
        slice(max(rows.start - margin, 0), rows.stop + margin),
        slice(max(cols.start - margin, 0), cols.stop + margin),
    )
    lesion, grey = inside[box], np.asarray(pixels, dtype=np.float64)[box]
    outside = ~lesion & (ndimage.distance_transform_edt(~lesion) <= width)
    if not outside.any():
        return float("nan")
    if not whole_lesion:
        # Padded, so that the image's edge is not taken for the lesion's border.
        depth = ndimage.distance_transform_edt(np.pad(lesion, 1, mode="edge"))[1:-1, 1:-1]
        lesion = lesion & (depth <= width)
    low, high = np.percentile(pixels, [1, 99])
    scale = float(high - low) or 1.0
    return abs(float(grey[lesion].mean() - grey[outside].mean())) / scale if lesion.any() else float("nan")


def _radius(mask: npt.NDArray[Any]) -> float:
    return math.sqrt(np.count_nonzero(mask) / math.pi)
