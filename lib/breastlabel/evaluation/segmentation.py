"""How well two outlines of one image agree.

Every function takes two masks (rows, cols), the reader's and the model's; any nonzero pixel is lesion.
NaN means undefined: nothing to compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from breastlabel.errors import InvalidLabelError

__all__ = ["BoundaryDistances", "boundary_distances", "dice", "iou"]

Mask = npt.NDArray[Any]


class BoundaryDistances(NamedTuple):
    """Distances between two outlines, in the unit of the spacing given.

    Attributes:
        hd95: the larger of the two directed 95th percentiles of boundary distances (Maier-Hein et al.,
            Metrics Reloaded, Nature Methods 21, 2024).
        assd: average symmetric surface distance, the mean over all boundary pixels of both outlines.
    """

    hd95: float
    assd: float


def dice(reader: Mask, model: Mask) -> float:
    """2 |A and B| / (|A| + |B|); 0 for a missed lesion, NaN where both masks are empty."""
    intersection, reader_area, model_area = _areas(reader, model)
    total = reader_area + model_area
    return 2 * intersection / total if total else float("nan")


def iou(reader: Mask, model: Mask) -> float:
    """|A and B| / |A or B|; 0 for a missed lesion, NaN where both masks are empty."""
    intersection, reader_area, model_area = _areas(reader, model)
    union = reader_area + model_area - intersection
    return intersection / union if union else float("nan")


def boundary_distances(
    reader: Mask, model: Mask, *, spacing: tuple[float, float] = (1.0, 1.0)
) -> BoundaryDistances:
    """HD95 and ASSD between the outlines of two masks; NaN where either is empty.

    A boundary pixel is a lesion pixel with a 4-neighbour outside the lesion; the image's edge is outside.

    Args:
        spacing: distance between rows and between columns. (1, 1) gives pixels.
    """
    _check_shapes(reader, model)
    either = np.logical_or(reader, model)
    if not np.any(reader) or not np.any(model):
        return BoundaryDistances(float("nan"), float("nan"))
    # Every boundary pixel and its nearest partner lie in the union's bounding box.
    box = ndimage.find_objects(either.astype(np.uint8))[0]
    reader_edge, model_edge = _boundary(reader[box]), _boundary(model[box])
    to_model = ndimage.distance_transform_edt(~model_edge, sampling=spacing)[reader_edge]
    to_reader = ndimage.distance_transform_edt(~reader_edge, sampling=spacing)[model_edge]
    hd95 = max(float(np.percentile(to_model, 95)), float(np.percentile(to_reader, 95)))
    return BoundaryDistances(hd95, float(np.concatenate([to_model, to_reader]).mean()))


def _boundary(mask: Mask) -> npt.NDArray[np.bool_]:
    inside = np.pad(np.asarray(mask) > 0, 1)
    edge = inside & ~ndimage.binary_erosion(inside)
    return np.asarray(edge[1:-1, 1:-1], dtype=bool)


def _areas(reader: Mask, model: Mask) -> tuple[int, int, int]:
    _check_shapes(reader, model)
    return (
        int(np.count_nonzero(np.logical_and(reader, model))),
        int(np.count_nonzero(reader)),
        int(np.count_nonzero(model)),
    )


def _check_shapes(reader: Mask, model: Mask) -> None:
    if reader.shape != model.shape:
        raise InvalidLabelError(
            f"two masks of one size are required; got {reader.shape} and {model.shape}; "
            "bring the prediction back to the image's own size"
        )
