"""Histogram equalisation of the breast alone: the dark around it has no say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["equalized_within", "locally_equalized_within"]

_LEVELS = 256

BoolArray = npt.NDArray[np.bool_]


def equalized_within(image: FloatArray, mask: BoolArray) -> FloatArray:
    """Histogram equalisation of the pixels under a mask, in 256 levels.

    Args:
        image: (rows, cols) in [0, 1].
        mask: (rows, cols), true somewhere.

    Returns:
        float32 (rows, cols); 0 where the mask is false.
    """
    levels = _levels(image)
    curve = _curve(np.bincount(levels[mask], minlength=_LEVELS).astype(np.float64))
    return np.where(mask, curve[levels], 0).astype(np.float32)


def locally_equalized_within(
    image: FloatArray, mask: BoolArray, *, clip: float = 2.0, tiles: int = 8
) -> FloatArray:
    """Contrast-limited adaptive histogram equalisation of the pixels under a mask.

    Zuiderveld, Graphics Gems IV, 1994: a curve for each tile, interpolated between the tiles' centres. A tile
    that holds less than a tile's worth of breast is filled up with the whole breast's histogram, so that the
    skin line is not torn up.

    Args:
        image: (rows, cols) in [0, 1].
        mask: (rows, cols), true somewhere.
        clip: highest bin of a tile's histogram, in multiples of its mean bin.
        tiles: along each axis.

    Returns:
        float32 (rows, cols); 0 where the mask is false.
    """
    levels = _levels(image)
    rows, cols = image.shape
    tiles_down, tiles_across = min(tiles, rows), min(tiles, cols)
    row_tile = np.arange(rows) * tiles_down // rows
    col_tile = np.arange(cols) * tiles_across // cols
    tile = row_tile[:, None] * tiles_across + col_tile
    flat = (tile * _LEVELS + levels)[mask]
    histograms = np.bincount(flat, minlength=tiles_down * tiles_across * _LEVELS).astype(np.float64)
    histograms = histograms.reshape(-1, _LEVELS)
    whole = histograms.sum(axis=0)
    area = rows * cols / (tiles_down * tiles_across)
    missing = np.maximum(area - histograms.sum(axis=1), 0)
    histograms += missing[:, None] * (whole / whole.sum())
    limit = clip * histograms.sum(axis=1, keepdims=True) / _LEVELS
    excess = np.maximum(histograms - limit, 0).sum(axis=1, keepdims=True)
    histograms = np.minimum(histograms, limit) + excess / _LEVELS
    curves = np.stack([_curve(histogram) for histogram in histograms]).astype(np.float32)

    upper, lower, down = _between(rows, tiles_down)
    first, second, across = _between(cols, tiles_across)
    down, across = down[:, None], across[None]

    def looked_up(row: npt.NDArray[np.int64], col: npt.NDArray[np.int64]) -> FloatArray:
        found: FloatArray = curves.ravel()[(row[:, None] * tiles_across + col) * _LEVELS + levels]
        return found

    above = looked_up(upper, first) * (1 - across) + looked_up(upper, second) * across
    below = looked_up(lower, first) * (1 - across) + looked_up(lower, second) * across
    return np.where(mask, above * (1 - down) + below * down, 0).astype(np.float32)


def _levels(image: FloatArray) -> npt.NDArray[np.int64]:
    levels: npt.NDArray[np.int64] = np.rint(image * (_LEVELS - 1)).astype(np.int64)
    return levels


def _curve(histogram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The level -> [0, 1] that makes a histogram flat: its cumulative sum, each bin's half counted."""
    below = histogram.cumsum() - histogram / 2
    curve: npt.NDArray[np.float64] = below / histogram.sum()
    return curve


def _between(
    length: int, tiles: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """For each pixel of an axis: the tiles between whose centres it lies, and how far from the first."""
    place = (np.arange(length) + 0.5) * tiles / length - 0.5
    before = np.clip(np.floor(place).astype(np.int64), 0, tiles - 1)
    after = np.minimum(before + 1, tiles - 1)
    return before, after, np.clip(place - before, 0, 1).astype(np.float32)
