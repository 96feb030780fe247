"""Outlines as arrays: those that the browser holds, and what tests compare them with."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from breastlabel.imaging import LabelArray

from .browser import Reader

__all__ = ["colours", "dice", "disc", "distance_to", "drawn", "names"]


def drawn(reader: Reader, image_id: str) -> LabelArray:
    """The label map as the browser holds it."""
    text, rows, columns = reader.ask(
        """(id) => {
          const { segmentationId } = breastlabel.drawings.drawings.get(id);
          const { segmentationService } = breastlabel.services;
          const [imageId] =
            segmentationService.getSegmentation(segmentationId).representationData.Labelmap.imageIds;
          const { rows, columns, ...image } = window.cornerstone.cache.getImage(imageId);
          const pixels = window.cornerstone.cache.getImage(imageId).getPixelData();
          return [btoa(Array.from(pixels, (value) => String.fromCharCode(value)).join("")), rows, columns];
        }""",
        image_id,
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(rows, columns)


def names(reader: Reader, image_id: str) -> dict[int, str]:
    """Of an outline's segments, by their values."""
    found = reader.ask(
        "(id) => Object.values(breastlabel.services.segmentationService.getSegmentation(breastlabel.drawings"
        ".drawings.get(id).segmentationId).segments).map((s) => [s.segmentIndex, s.label])",
        image_id,
    )
    return {int(index): str(name) for index, name in found}


def disc(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def distance_to(mask: LabelArray) -> np.ndarray[Any, Any]:
    """From every pixel, half a tenth of the image away from its edges, to the next one that is painted."""
    from scipy.ndimage import distance_transform_edt

    distance = np.asarray(distance_transform_edt(mask == 0))
    margin = max(mask.shape) // 20
    inner = np.zeros_like(distance)
    inner[margin:-margin, margin:-margin] = distance[margin:-margin, margin:-margin]
    return inner


def dice(one: LabelArray, other: LabelArray) -> float:
    a, b = one > 0, other > 0
    return 2.0 * float(np.sum(a & b)) / float(max(1, np.sum(a) + np.sum(b)))


def colours(picture: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
