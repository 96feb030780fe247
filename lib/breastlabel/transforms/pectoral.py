"""The pectoral muscle's edge in a mediolateral oblique view, as a straight line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.transforms.breast import BreastRegion, bounding_box

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["PectoralLine", "find_pectoral", "without_pectoral"]

BoolArray = npt.NDArray[np.bool_]


class PectoralLine(NamedTuple):
    """From the breast's upper edge to the chest wall, which is at the left.

    Attributes:
        col: where it meets the first row.
        row: where it meets the first column.
        contrast: step across it, in interquartile ranges of the tissue.
        agreement: share of its points at which the muscle's side is the brighter.
    """

    col: float
    row: float
    contrast: float
    agreement: float


def find_pectoral(image: FloatArray, tissue: BoolArray) -> PectoralLine | None:
    """The muscle's edge, or None where there is none that is sure.

    Straight-line model (Karssemeijer, Phys. Med. Biol. 43, 1998): of all lines that cut the upper corner off
    at the chest wall, the one with the largest step from a bright corner to darker tissue. It is taken only
    if the step is clear nearly all along the line, as wiping out tissue is worse than leaving muscle in.

    Args:
        image: (rows, cols), the breast's box, chest wall at the left, small (its rows some hundred).
        tissue: (rows, cols), where the breast is.
    """
    rows, cols = image.shape
    if min(rows, cols) < _SMALLEST or not tissue.any():
        return None
    quarter, three_quarters = (float(v) for v in np.percentile(image[tissue], (25, 75)))
    scale = max(three_quarters - quarter, 1e-6 * max(abs(three_quarters), 1e-6))
    smooth = cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), 0.008 * rows)
    ends_col, ends_row = np.meshgrid(_COLS * cols, _ROWS * rows, indexing="ij")
    ends_col, ends_row = ends_col.ravel()[:, None], ends_row.ravel()[:, None]
    x, y = ends_col * (1 - _ALONG), ends_row * _ALONG
    length = np.hypot(ends_col, ends_row)
    # Into the breast, away from the corner.
    normal_x, normal_y = ends_row / length, ends_col / length
    steps, there = [], np.ones(x.shape, bool)
    for offset in _OFFSETS:
        reach = offset * rows
        inside, known_inside = _sampled(smooth, tissue, x - reach * normal_x, y - reach * normal_y)
        outside, known_outside = _sampled(smooth, tissue, x + reach * normal_x, y + reach * normal_y)
        steps.append(inside - outside)
        there &= known_inside & known_outside
    step = np.where(there, np.minimum(*steps), 0) / scale
    count = np.maximum(there.sum(axis=1), 1)
    contrast = step.sum(axis=1) / count
    agreement = (step > 0).sum(axis=1) / count
    # The weakest third decides: an edge of the gland is strong somewhere, the muscle's nearly everywhere.
    weakest = np.percentile(np.where(there, step, 0), 33, axis=1)
    score = np.where(
        there.mean(axis=1) >= _LEAST_SEEN, np.minimum(contrast, 1.0) * agreement + weakest, -np.inf
    )
    best = int(score.argmax())
    line = PectoralLine(
        float(ends_col[best, 0]), float(ends_row[best, 0]), float(contrast[best]), float(agreement[best])
    )
    if score[best] <= 0 or line.contrast < _LEAST_CONTRAST or line.agreement < _LEAST_AGREEMENT:
        return None
    # Muscle fills the corner; a mass in it leaves tissue around itself, as dark as that beyond the line.
    muscle = _corner(line, image.shape, 0.0) & tissue
    next_to_it = float(np.median(smooth[_corner(line, image.shape, -_BAND) & tissue & ~muscle]))
    return line if float(np.percentile(smooth[muscle], 25)) > next_to_it + _LEAST_FILLED * scale else None


def _corner(line: PectoralLine, shape: tuple[int, ...], moved: float) -> BoolArray:
    """The corner that the line cuts off, where it is moved towards the corner by a share of its way there."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    corner: BoolArray = (x + 0.5) / line.col + (y + 0.5) / line.row < 1 - moved
    return corner


def without_pectoral(region: BreastRegion) -> BreastRegion:
    """The breast without the muscle, where its edge is sure; else the region as it is.

    What lies over the muscle and is much brighter stays: it may be a lesion.
    """
    top, left, height, width = bounding_box(region.mask)
    box = np.s_[top : top + height, left : left + width]
    turn = -1 if region.chest_wall_right else 1
    line = find_pectoral(region.reduced[box][:, ::turn], region.mask[box][:, ::turn])
    if line is None:
        return region
    muscle = region.mask & False
    muscle[box] = _corner(line, (height, width), _SPARED)[:, ::turn]
    muscle &= region.mask
    if not muscle.any():
        return region
    return replace(region, mask=region.mask & (~muscle | _lying_over(muscle, region.reduced)))


def _lying_over(muscle: BoolArray, image: FloatArray) -> BoolArray:
    """What is projected on the muscle and much brighter, bool (rows, cols): a mass there is not wiped out."""
    radius = max(1, round(0.008 * max(image.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    low, middle = (float(v) for v in np.percentile(image[muscle], (10, 50)))
    bright = (muscle & (image > middle + _BRIGHTER * (middle - low))).astype(np.uint8)
    # A film's upper edge is bright too.
    bright[: round(_EDGE * len(bright))] = 0
    lesions = cv2.dilate(cv2.morphologyEx(bright, cv2.MORPH_OPEN, disc), disc)
    return np.asarray(lesions, bool)


_SMALLEST = 48
_SPARED = 0.03
"""Of the corner: what lies next to the line stays, as the edge is not quite straight."""
_COLS = np.linspace(0.12, 0.85, 32)
_ROWS = np.linspace(0.15, 0.9, 32)
_ALONG = np.linspace(0.04, 0.96, 48)
_OFFSETS = (0.015, 0.035)
_LEAST_SEEN = 0.75
_BAND = 0.2
_BRIGHTER = 1.2
_EDGE = 0.04
_LEAST_FILLED = 0.1
_LEAST_CONTRAST = 0.22
_LEAST_AGREEMENT = 0.85


def _sampled(
    image: FloatArray, tissue: BoolArray, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[FloatArray, BoolArray]:
    """The image at points, and which of them lie on tissue."""
    rows, cols = image.shape
    col, row = np.rint(x - 0.5).astype(np.int64), np.rint(y - 0.5).astype(np.int64)
    within = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    col, row = np.clip(col, 0, cols - 1), np.clip(row, 0, rows - 1)
    return image[row, col], within & tissue[row, col]
