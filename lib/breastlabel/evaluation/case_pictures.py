"""P2's four pictures of a case: the image, what stands out, the grown regions, and the class."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.imaging.image import FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference.overlay import CLASS_COLORS, render_overlay
from breastlabel.inference.prediction import Prediction
from breastlabel.inference.region_growing import GrownRegions, grow_regions
from breastlabel.transforms.breast import isolate_breast
from breastlabel.transforms.pectoral import without_pectoral

__all__ = ["CasePictures", "case_pictures"]

RgbArray = npt.NDArray[np.uint8]

_LONGEST = 1024
_STANDS_OUT, _OUTLINE = (255, 170, 0), (0, 204, 255)


@dataclass(frozen=True)
class CasePictures:
    """The four pictures, RGB (rows, cols, 3) of one size.

    Attributes:
        original: the image.
        thresholded: the pixels that stand out from the tissue around them, in orange.
        segmented: the regions grown from them, outlined in blue, the rest dimmed.
        classified: the heat map of the class over the image, framed in the class's colour.
        n_regions: how many regions there are.
        heat: whether there is a heat map.
    """

    original: RgbArray
    thresholded: RgbArray
    segmented: RgbArray
    classified: RgbArray
    n_regions: int
    heat: bool


def case_pictures(pixels: FloatArray, prediction: Prediction) -> CasePictures:
    """Draw them; a large image is reduced first.

    Args:
        pixels: (rows, cols), tissue brighter than the background.
        prediction: of the image; its heat map, where it has one, is drawn over the fourth.

    Raises:
        InvalidImageError: no breast is found.
    """
    grey, regions = _regions(pixels)
    empty = np.zeros(grey.shape, np.uint8)
    original = render_overlay(grey, empty)
    size = original.shape[1], original.shape[0]
    dimmed = (original * 0.45).astype(np.uint8)
    stands_out = _enlarged(regions.thresholded, size)
    inside = _enlarged(regions.mask, size)
    segmented = np.where(inside[..., None], original, dimmed)
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(2, round(min(size) / 256))
    cv2.polylines(segmented, outlines, True, _OUTLINE, thickness, cv2.LINE_AA)
    heat = prediction.heat_map
    if heat is not None:
        heat = np.clip(cv2.resize(heat, grey.shape[::-1], interpolation=cv2.INTER_AREA), 0, 1)
    classified = render_overlay(grey, empty, heat=heat).copy()
    if prediction.predicted is not LesionClass.NORMAL:
        corner = (size[0] - 1, size[1] - 1)
        cv2.rectangle(classified, (0, 0), corner, CLASS_COLORS[prediction.predicted], 4 * thickness)
    return CasePictures(
        original=original,
        thresholded=np.where(stands_out[..., None], np.array(_STANDS_OUT, np.uint8), dimmed),
        segmented=segmented,
        classified=classified,
        n_regions=regions.n_regions,
        heat=heat is not None,
    )


def _regions(pixels: FloatArray) -> tuple[FloatArray, GrownRegions]:
    """A copy of the image of at most `_LONGEST` pixels, and the regions of the breast in it."""
    region = without_pectoral(isolate_breast(pixels))
    rows, cols = pixels.shape
    scale = min(1.0, _LONGEST / max(rows, cols))
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    grey: FloatArray = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    mask = cv2.resize(region.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    low, high = np.percentile(grey[mask], (0.5, 99.8)) if mask.any() else (grey.min(), grey.max())
    unit = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    return grey, grow_regions(unit, breast=mask)


def _enlarged(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    resized = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    result: npt.NDArray[np.bool_] = resized >= 0.5
    return result
