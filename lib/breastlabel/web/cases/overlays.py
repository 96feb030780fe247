"""Outlines and heat maps as pictures to lay over an image, or drawn into it."""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np

from breastlabel.imaging import FloatArray, LabelArray
from breastlabel.inference.overlay import CLASS_COLORS, picture_png, render_overlay
from breastlabel.web.cases.thumbnails import resized

__all__ = ["LONGEST", "Layer", "drawn_in", "heat_layer", "mask_layer"]

#: Pixels along the longer side of a picture; a viewer stretches it over the image.
LONGEST = 1024
#: How much of the hottest place the colour hides.
_STRONGEST = 0.6


class Layer(StrEnum):
    """What is laid over an image."""

    MASK = "mask"
    HEATMAP = "heatmap"


def mask_layer(mask: LabelArray) -> bytes:
    """A label map's outlines in the colours of their classes, on nothing: RGBA PNG."""
    shape = _size(mask.shape)
    picture = np.zeros((*shape, 4), np.uint8)
    thickness = max(1, round(min(shape) / 256))
    for lesion_class, color in CLASS_COLORS.items():
        painted = (mask == lesion_class).astype(np.uint8)
        small = cv2.resize(painted, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        contours, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, (*color, 255), thickness, cv2.LINE_8)
    return picture_png(picture)


def heat_layer(heat: FloatArray) -> bytes:
    """A heat map in [0, 1] in colours, clearer where it is cooler: RGBA PNG."""
    small = np.clip(resized(heat, LONGEST), 0.0, 1.0)
    colors = cv2.applyColorMap((small * 255).round().astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    clear = (small * _STRONGEST * 255).round().astype(np.uint8)
    return picture_png(np.dstack([colors, clear]))


def drawn_in(pixels: FloatArray, mask: LabelArray, heat: FloatArray | None = None) -> bytes:
    """The image itself with outlines, and with a heat map where there is one: RGB PNG."""
    return picture_png(render_overlay(pixels, mask, heat=heat, max_side=LONGEST))


def _size(shape: tuple[int, int] | tuple[int, ...]) -> tuple[int, int]:
    """(rows, cols) of a picture of an image of this shape: as large as the image, up to `LONGEST`."""
    rows, cols = shape
    scale = min(1.0, LONGEST / max(rows, cols))
    return max(1, round(rows * scale)), max(1, round(cols * scale))
