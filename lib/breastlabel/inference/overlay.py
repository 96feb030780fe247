"""A picture of an answer: the image, the lesion's outline coloured by class, a reader's, and the heat."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.image import FloatArray, LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["CLASS_COLORS", "REFERENCE_COLOR", "picture_png", "render_overlay", "write_overlay"]

RgbArray = npt.NDArray[np.uint8]

CLASS_COLORS: dict[LesionClass, tuple[int, int, int]] = {
    LesionClass.BENIGN: (40, 220, 90),
    LesionClass.MALIGNANT: (255, 60, 60),
}
"""RGB of the predicted outline; the class's name stands beside it for readers who cannot tell them apart."""

REFERENCE_COLOR = (255, 225, 60)
"""RGB of a reader's outline, which is dashed."""


def render_overlay(
    pixels: FloatArray,
    mask: LabelArray,
    *,
    reference: LabelArray | None = None,
    heat: FloatArray | None = None,
    min_side: int = 512,
    max_side: int = 2048,
    names: bool = True,
) -> RgbArray:
    """Draw outlines over an image.

    Args:
        pixels: (rows, cols) in any unit; the 0.5 to 99.5 percentiles are shown from black to white.
        mask: (rows, cols) label map, outlined green where benign and red where malignant.
        reference: a reader's label map, outlined dashed yellow.
        heat: (rows, cols) in [0, 1], laid over the image in colour, clearer where hotter.
        min_side: a smaller image is enlarged until its shorter side has this many pixels (and its
            longer side at most ``max_side``), so that outlines stay thin beside the lesion.
        max_side: a larger image is reduced to this.
        names: whether the class's name is written at each outline.

    Returns:
        (rows', cols', 3) uint8 RGB, in the image's proportions.
    """
    shape = pixels.shape
    for name, array in (("mask", mask), ("reference", reference), ("heat", heat)):
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} must have the image's shape {shape}; got {array.shape}")
    rows, cols = shape
    scale = min(max(1.0, min_side / min(rows, cols)), max_side / max(rows, cols))
    size = (max(1, round(rows * scale)), max(1, round(cols * scale)))
    canvas = np.repeat(_resize(_displayed(pixels), size)[..., None], 3, axis=2)
    if heat is not None:
        canvas = _blend_heat(canvas, _resize(heat.astype(np.float32), size))
    thickness = max(1, round(min(size) / 256))
    if reference is not None:
        for contour in _contours(reference != 0, size):
            _dashes(canvas, contour, REFERENCE_COLOR, thickness)
    for lesion_class, color in CLASS_COLORS.items():
        for contour in _contours(mask == lesion_class, size):
            cv2.polylines(canvas, [contour], True, color, thickness, cv2.LINE_AA)
            if names:
                _write_name(canvas, contour, lesion_class.label, color)
    return canvas


def write_overlay(path: Path, picture: RgbArray) -> None:
    """Write an RGB picture as PNG; the file appears whole or not at all."""
    write_bytes_atomically(path, picture_png(picture))


def picture_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """A grey (rows, cols), RGB or RGBA (rows, cols, 3 or 4) picture as PNG."""
    if picture.ndim == 3:
        order = [2, 1, 0, 3][: picture.shape[2]]
        picture = picture[..., order]
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    if not encoded:
        raise ValueError(f"a grey, RGB or RGBA picture of bytes is required; got shape {picture.shape}")
    return data.tobytes()


def _displayed(pixels: FloatArray) -> RgbArray:
    low, high = (float(v) for v in np.percentile(pixels, (0.5, 99.5)))
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    unit = (pixels - low) / max(high - low, 1e-12)
    return (np.clip(unit, 0.0, 1.0) * 255.0).round().astype(np.uint8)


def _resize(array: npt.NDArray[np.generic], size: tuple[int, int]) -> npt.NDArray[np.generic]:
    if array.shape == size:
        return array
    shrinks = size[0] < array.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC if array.dtype == np.uint8 else cv2.INTER_LINEAR
    resized: npt.NDArray[np.generic] = cv2.resize(array, (size[1], size[0]), interpolation=method)
    return resized


def _blend_heat(canvas: RgbArray, heat: npt.NDArray[np.generic]) -> RgbArray:
    unit = np.clip(heat, 0.0, 1.0).astype(np.float32)
    colors = cv2.applyColorMap((unit * 255).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    # Cold regions keep the image as it is: heat that says nothing must not hide tissue.
    alpha = (0.55 * np.sqrt(unit))[..., None]
    blended: RgbArray = ((1.0 - alpha) * canvas + alpha * colors).round().astype(np.uint8)
    return blended


def _contours(region: npt.NDArray[np.bool_], size: tuple[int, int]) -> list[npt.NDArray[np.int32]]:
    """Outlines of a region, in the canvas' pixels: (n, 1, 2) of (col, row)."""
    if not region.any():
        return []
    # Bilinear, then half: a smooth outline where the picture is enlarged.
    coverage = cv2.resize(region.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    enlarged = (coverage >= 0.5).astype(np.uint8)
    found, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return list(found)


def _dashes(
    canvas: RgbArray, contour: npt.NDArray[np.int32], color: tuple[int, int, int], thickness: int
) -> None:
    dash = 5 * thickness
    closed = np.concatenate([contour, contour[:1]])
    for start in range(0, len(contour), 2 * dash):
        piece = closed[start : start + dash + 1]
        cv2.polylines(canvas, [piece], False, color, thickness, cv2.LINE_AA)


def _write_name(
    canvas: RgbArray, contour: npt.NDArray[np.int32], name: str, color: tuple[int, int, int]
) -> None:
    rows, cols = canvas.shape[:2]
    scale = max(0.6, min(rows, cols) / 800)
    weight = max(1, round(1.6 * scale))
    (width, height), base = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, weight)
    left, top, box_width, box_height = cv2.boundingRect(contour)
    gap = round(8 * scale)
    x = int(np.clip(left + box_width / 2 - width / 2, gap, max(gap, cols - width - gap)))
    # Above the lesion where there is room, else below it, else inside at the top.
    y = top - gap - base
    if y - height < 0:
        y = top + box_height + height + gap
    if y + base > rows:
        y = top + height + gap
    origin = (x, y)
    cv2.putText(canvas, name, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), weight + 2, cv2.LINE_AA)
    cv2.putText(canvas, name, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, color, weight, cv2.LINE_AA)
