"""The pictures of one reading: what was given, what the network saw, what stands out, outline and heat."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.evaluation.case_pictures import case_pictures
from breastlabel.imaging import BreastImage, FloatArray, Modality
from breastlabel.inference import Prediction
from breastlabel.inference.overlay import picture_png, render_overlay
from breastlabel.transforms.prepared import Prepared
from breastlabel.transforms.registry import Preparation
from breastlabel.transforms.ultrasound import UltrasoundPreparation

__all__ = ["LONGEST", "Picture", "reading_pictures"]

#: Pixels along the longer side of a picture.
LONGEST = 1024
_SHORTEST = 512


class Picture(NamedTuple):
    """A picture and what is to be said of it.

    Attributes:
        name: of its file, without suffix. ``heat`` is grey: a pixel's value is its heat, 255 at the peak, for
            the page colours it.
        png: its content.
    """

    name: str
    title: str
    explained: str
    png: bytes


def reading_pictures(
    image: BreastImage, prediction: Prediction, preparation: Preparation, prepared: Prepared
) -> list[Picture]:
    """Draw them, all of one size.

    Args:
        image: as it was analysed.
        preparation: the checkpoint's.
        prepared: what it made of the image.
    """
    nothing = np.zeros(image.shape, np.uint8)
    pictures = [Picture("original", "Original", "As it was given.", _overlay(image.pixels, nothing))]
    # A system that outlines nothing has a probability of 0 everywhere.
    if prediction.lesion_probability.any():
        found = f"Outlined, and called {prediction.predicted.label}."
        said = found if prediction.mask.any() else "Nothing was outlined."
        pictures.append(Picture("outline", "Outline", said, _overlay(image.pixels, prediction.mask)))
    if prediction.heat_map is not None:
        explained = prediction.explained or prediction.predicted
        said = f"Where the network looked for {explained.label} (Grad-CAM)."
        pictures.append(Picture("heat", "Heat map", said, _heat(image, prediction.heat_map)))
    pictures.append(Picture("enhanced", "Enhanced", *_enhanced(image, preparation, prepared)))
    if image.modality is Modality.MG:
        pictures += _regions(image, prediction)
    return pictures


def _enhanced(image: BreastImage, preparation: Preparation, prepared: Prepared) -> tuple[str, bytes]:
    if isinstance(preparation, UltrasoundPreparation):
        steps = [
            name
            for name, used in (
                ("histogram equalisation", preparation.histogram_equalization),
                ("CLAHE", preparation.clahe),
                ("Gaussian", preparation.gaussian),
                ("anisotropic diffusion", preparation.anisotropic_diffusion),
            )
            if used
        ]
        rows, cols = preparation.size
        said = f"{', '.join(steps) or 'Scaled'}; the network sees it at {rows} × {cols}."
        return said[:1].upper() + said[1:], _plain(preparation.enhance(image.pixels), image.shape)
    # In the image's own place, so that it can be compared with the others.
    seen = np.asarray(prepared.image, np.float32)
    restored = prepared.geometry.restore(seen[None])[0]
    said = f"The breast alone, scaled: what the network sees, at {seen.shape[0]} × {seen.shape[1]}."
    return said, _plain(restored, image.shape)


def _regions(image: BreastImage, prediction: Prediction) -> list[Picture]:
    try:
        drawn = case_pictures(image.pixels, prediction)
    except InvalidImageError:
        # No breast is found, which the network's own preparation did not mind.
        return []
    size = _size(image.shape)
    many = f"{drawn.n_regions} regions" if drawn.n_regions != 1 else "1 region"
    return [
        Picture(
            "thresholded",
            "Stands out",
            "Brighter than the tissue around (threshold); no network looked at it.",
            picture_png(_resized(drawn.thresholded, size)),
        ),
        Picture(
            "regions",
            "Grown regions",
            f"{many}, grown from what stands out; bright is not therefore a lesion.",
            picture_png(_resized(drawn.segmented, size)),
        ),
    ]


def _size(shape: tuple[int, int]) -> tuple[int, int]:
    """(rows, cols) of a picture of an image of this shape, as `render_overlay` has them."""
    rows, cols = shape
    scale = min(max(1.0, _SHORTEST / min(rows, cols)), LONGEST / max(rows, cols))
    return max(1, round(rows * scale)), max(1, round(cols * scale))


def _overlay(pixels: FloatArray, mask: npt.NDArray[np.uint8]) -> bytes:
    return picture_png(render_overlay(pixels, mask, min_side=_SHORTEST, max_side=LONGEST))


def _plain(unit: FloatArray, shape: tuple[int, int]) -> bytes:
    """A grey picture of values in [0, 1]."""
    return picture_png(_resized((np.clip(unit, 0, 1) * 255).round().astype(np.uint8), _size(shape)))


def _heat(image: BreastImage, heat: FloatArray) -> bytes:
    rows, cols = _size(image.shape)
    resized = cv2.resize(heat.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    peak = float(resized.max())
    return picture_png((np.clip(resized / (peak or 1.0), 0, 1) * 255).round().astype(np.uint8))


def _resized(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if picture.shape[:2] == size:
        return picture
    method = cv2.INTER_AREA if size[0] < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=method), np.uint8)
