"""Small pictures of images, for lists."""

from __future__ import annotations

import cv2
import numpy as np

from breastlabel.imaging import FloatArray
from breastlabel.inference.overlay import picture_png

__all__ = ["resized", "thumbnail"]


def thumbnail(pixels: FloatArray, longest: int) -> bytes:
    """A grey PNG, at most ``longest`` pixels along its longer side, never larger than the image.

    Args:
        pixels: (rows, cols) in any unit; the 0.5 to 99.5 percentiles are shown from black to white.
    """
    small = resized(pixels, longest)
    low, high = np.percentile(small, [0.5, 99.5])
    # A constant image has no contrast to show.
    scaled = (small - low) / (high - low) if high > low else np.zeros_like(small)
    return picture_png((np.clip(scaled, 0.0, 1.0) * 255.0).round().astype(np.uint8))


def resized(pixels: FloatArray, longest: int) -> FloatArray:
    """An array (rows, cols) reduced to ``longest`` along its longer side; a smaller one as it is."""
    rows, cols = pixels.shape
    scale = longest / max(rows, cols)
    if scale >= 1.0:
        return np.asarray(pixels, np.float32)
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
