"""Whether the score falls when the outlined lesion is masked out: evidence and score must agree (P0)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.evaluation.bootstrap import Bootstrap, weighted_mean
from breastlabel.evaluation.labelled_breasts import LabelledBreast
from breastlabel.imaging.image import BreastImage
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Evidence", "evidence_measure", "evidence_of", "without_lesion"]


class Evidence(NamedTuple):
    """A breast's scores with and without its lesions.

    Attributes:
        group: the unit of the bootstrap.
        label: class of the breast; None where unknown.
        lesion_fall: fall of the probability of any lesion, 1 - p(normal).
        malignancy_fall: fall of the probability of malignant.
    """

    group: str
    label: int | None
    lesion_fall: float
    malignancy_fall: float


def evidence_of(predictor: Any, breast: LabelledBreast, prediction: Any, group: str) -> Evidence | None:
    """Judge a breast again, what the model outlined in the judged exam replaced by the tissue around it.

    None where the model outlined nothing there, or so much that what is left is no breast.

    Args:
        prediction: of the breast as it is.
    """
    outlined = [i for i in breast.judged if prediction.images[i].mask.any()]
    if not outlined:
        return None
    images = [labelled.image for labelled in breast.images]
    try:
        for i in outlined:
            images[i] = without_lesion(images[i], prediction.images[i].mask > 0)
        after = predictor.predict_sequence(images, contexts=breast.contexts, newest=breast.newest)
    except InvalidImageError:
        return None
    normal = LesionClass.NORMAL.label
    return Evidence(
        group,
        None if breast.label is None else int(breast.label),
        float(after.class_probabilities[normal] - prediction.class_probabilities[normal]),
        float(prediction.malignancy_probability - after.malignancy_probability),
    )


def without_lesion(image: BreastImage, region: npt.NDArray[np.bool_]) -> BreastImage:
    """The image with a region replaced by the mean of the tissue around each of its pixels.

    Around means within a square of four times the diameter of the circle with the region's area, as far as
    that is neither the region nor the image's background (its darkest value).

    Args:
        region: bool (rows, cols), not empty; widened by a fiftieth of that diameter, at least a pixel, so
            that the lesion's rim goes too.
    """
    diameter = 2 * math.sqrt(np.count_nonzero(region) / math.pi)
    rim = max(1, round(diameter / 50))
    rows, cols = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    reach = math.ceil(2 * diameter) + rim
    box = (
        slice(max(0, int(rows[0]) - reach), int(rows[-1]) + reach + 1),
        slice(max(0, int(cols[0]) - reach), int(cols[-1]) + reach + 1),
    )
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    lesion = cv2.dilate(region[box].astype(np.uint8), kernel) > 0
    grey = image.pixels[box]
    around = (~lesion & (grey > image.pixels.min())).astype(np.float32)
    side = (2 * reach + 1, 2 * reach + 1)
    weight = cv2.blur(around, side, borderType=cv2.BORDER_CONSTANT)
    total = cv2.blur(grey * around, side, borderType=cv2.BORDER_CONSTANT)
    filled = np.where(lesion & (weight > 0), total / np.maximum(weight, 1e-9), grey)
    pixels = image.pixels.copy()
    pixels[box] = filled.astype(np.float32)
    return replace(image, pixels=pixels)


def evidence_measure(found: Sequence[Evidence], *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """``evidence`` of ``metrics.json``.

    ``n_breasts``: those in which the model outlined something; ``lesion_score_fall``: mean fall of the
    probability of any lesion; ``falling``: share of the breasts in which it falls; ``malignancy_fall``: mean
    fall of the probability of malignant in the malignant breasts among them.
    """
    bootstrap = Bootstrap([evidence.group for evidence in found], resamples=resamples, seed=seed)
    falls = np.array([evidence.lesion_fall for evidence in found], dtype=np.float64)
    malignant = np.array(
        [e.malignancy_fall if e.label == LesionClass.MALIGNANT else math.nan for e in found], dtype=np.float64
    )
    return {
        "n_breasts": len(found),
        "lesion_score_fall": bootstrap.interval(lambda w: weighted_mean(falls, w)),
        "falling": bootstrap.interval(lambda w: weighted_mean((falls > 0).astype(np.float64), w)),
        "malignancy_fall": bootstrap.interval(lambda w: weighted_mean(malignant, w)),
    }
