"""Superpixels average the mask (P1, section E).

P1 cuts the image into SLIC superpixels (Achanta et al., IEEE TPAMI 34 (2012) 2274) and gives each the mean
of the network's pixel probabilities in it, so that outlines follow edges of the image.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import slic

from breastlabel.imaging.image import FloatArray

__all__ = ["refine", "superpixel_means"]


def refine(
    probability: FloatArray,
    pixels: FloatArray,
    *,
    n_segments: int = 600,
    compactness: float = 0.1,
    blend: float = 1.0,
    working_size: int = 320,
) -> FloatArray:
    """Average a probability map over the superpixels of its image.

    Args:
        probability: (rows, cols), in [0, 1].
        pixels: (rows, cols), the same image in any unit; stretched to [0, 1] here.
        n_segments: about how many superpixels.
        compactness: SLIC's weight of closeness against likeness, for an image in [0, 1].
        blend: 1 gives the superpixels' means (P1), 0 leaves ``probability`` as it is.
        working_size: SLIC runs on an image whose longer side is at most this many pixels, so that a
            4096-wide image costs no more than a small one.

    Returns:
        (rows, cols), float32 in [0, 1].
    """
    if probability.shape != pixels.shape:
        raise ValueError(
            f"probability and pixels must have one shape; got {probability.shape} and {pixels.shape}"
        )
    rows, cols = pixels.shape
    scale = min(1.0, working_size / max(rows, cols))
    small = (max(1, round(rows * scale)), max(1, round(cols * scale)))
    segments = slic(
        _unit_range(_resize(pixels, small, cv2.INTER_AREA)),
        n_segments=n_segments,
        compactness=compactness,
        channel_axis=None,
        start_label=0,
    )
    means = superpixel_means(_resize(probability, small, cv2.INTER_AREA), segments)
    refined = _resize(means, (rows, cols), cv2.INTER_LINEAR)
    blended = blend * refined + (1.0 - blend) * probability
    return np.clip(blended, 0.0, 1.0).astype(np.float32)


def superpixel_means(values: FloatArray, segments: npt.NDArray[np.integer[Any]]) -> FloatArray:
    """Replace each pixel by the mean of its segment; ``segments`` (rows, cols) counts from 0."""
    flat = segments.ravel()
    sums = np.bincount(flat, weights=values.ravel())
    counts = np.bincount(flat)
    means = sums / np.maximum(counts, 1)
    averaged: FloatArray = means[segments].astype(np.float32)
    return averaged


def _unit_range(pixels: FloatArray) -> FloatArray:
    # Percentiles, because burned-in text and callipers are brighter than any tissue.
    low, high = (float(v) for v in np.percentile(pixels, (0.5, 99.5)))
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    stretched: FloatArray = (pixels - low) / np.float32(max(high - low, 1e-12))
    unit: FloatArray = np.clip(stretched, 0.0, 1.0).astype(np.float32)
    return unit


def _resize(array: FloatArray, shape: tuple[int, int], interpolation: int) -> FloatArray:
    if array.shape == shape:
        return array
    resized: FloatArray = cv2.resize(
        array.astype(np.float32), (shape[1], shape[0]), interpolation=interpolation
    )
    return resized
