"""Small pictures of images, for lists."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.imaging import FloatArray

__all__ = ["png_bytes", "resized", "thumbnail"]


def thumbnail(pixels: FloatArray, longest: int) -> bytes:
    """A grey PNG, at most ``longest`` pixels along its longer side, never larger than the image.

    Args:
        pixels: (rows, cols) in any unit; the 0.5 to 99.5 percentiles are shown from black to white.
    """
    small = resized(pixels, longest)
    low, high = np.percentile(small, [0.5, 99.5])
    # A constant image has no contrast to show.
    scaled = (small - low) / (high - low) if high > low else np.zeros_like(small)
    return png_bytes((np.clip(scaled, 0.0, 1.0) * 255.0).round().astype(np.uint8))


def resized(pixels: FloatArray, longest: int) -> FloatArray:
    """An array (rows, cols) reduced to ``longest`` along its longer side; a smaller one as it is."""
    rows, cols = pixels.shape
    scale = longest / max(rows, cols)
    if scale >= 1.0:
        return np.asarray(pixels, np.float32)
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def png_bytes(picture: npt.NDArray[np.uint8]) -> bytes:
    """A grey (rows, cols), RGB or RGBA (rows, cols, 3 or 4) picture as PNG."""
    if picture.ndim == 3:
        order = [2, 1, 0, 3][: picture.shape[2]]
        picture = picture[..., order]
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    if not encoded:
        raise ValueError(f"a grey, RGB or RGBA picture of bytes is required; got shape {picture.shape}")
    return data.tobytes()
