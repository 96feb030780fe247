"""What a predictor says about one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from breastlabel.imaging.image import FloatArray, LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["LesionBox", "Prediction", "decide"]


@dataclass(frozen=True)
class LesionBox:
    """A box around what may be a lesion.

    Attributes:
        corners: (row0, col0, row1, col1), edges of the image's own pixels.
        lesion_class: benign or malignant.
        score: in [0, 1]; not calibrated, for ranking boxes.
    """

    corners: tuple[float, float, float, float]
    lesion_class: LesionClass
    score: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one image, at the image's own size.

    Attributes:
        mask: (rows, cols) label map: 0, or the predicted lesion class in every lesion pixel. Empty
            where ``predicted`` is normal, and, in one of several images of a breast or where the network
            outlines nothing, also where no outline is left.
        lesion_probability: (rows, cols) in [0, 1], after superpixels where they are on, before threshold.
        class_probabilities: calibrated; ``normal``, ``benign``, ``malignant`` in this order, sum 1. Those of
            the breast, where several images of it were looked at together.
        malignancy_probability: that of ``malignant``.
        predicted: the class that agrees with the mask; see `decide`.
        checkpoint_version: of the model that answered.
        uncertainty: of stochastic passes, None without them: ``class_entropy`` (nats, of the mean
            class probabilities), ``mutual_information`` (nats), ``variation_ratio``,
            ``mask_disagreement`` (mean pairwise 1 - Dice; absent where the network outlines nothing) and
            ``passes``, how many there were, or ``members`` of an ensemble.
        lesion_deviation: (rows, cols), standard deviation of the lesion probability over the passes.
        heat_map: (rows, cols) Grad-CAM in [0, 1], None where none was asked for.
        explained: the class that the heat map is for.
        above_operating_point: whether the probability of malignancy reaches the threshold that was chosen for
            a stated sensitivity; None where the checkpoint names none.
        invasive_probability: calibrated, that the cancer is invasive and not in situ, if there is one; None
            where the checkpoint does not tell.
        boxes: the likeliest first; they decide nothing else. None where the checkpoint draws none.
    """

    mask: LabelArray
    lesion_probability: FloatArray
    class_probabilities: Mapping[str, float]
    malignancy_probability: float
    predicted: LesionClass
    checkpoint_version: str
    uncertainty: Mapping[str, float] | None = None
    lesion_deviation: FloatArray | None = None
    heat_map: FloatArray | None = None
    explained: LesionClass | None = None
    above_operating_point: bool | None = None
    invasive_probability: float | None = None
    boxes: tuple[LesionBox, ...] | None = None


def decide(
    region: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    class_probabilities: Mapping[str, float],
    *,
    normal_threshold: float,
) -> tuple[LabelArray, LesionClass]:
    """One coherent answer from the outline and the class.

    The image has a lesion if a region survived the threshold and the morphology *and* the probability
    of normal is below ``normal_threshold``. Every lesion pixel then takes the likelier of the two lesion
    classes, malignant on a tie; otherwise the mask is empty and the class is normal. The class
    probabilities themselves are never changed.

    Args:
        region: (rows, cols), true in the outlined lesion.
        class_probabilities: of ``normal``, ``benign`` and ``malignant``.
        normal_threshold: of the checkpoint, 0.5 unless it says otherwise.
    """
    present = bool(region.any()) and class_probabilities["normal"] < normal_threshold
    if not present:
        return np.zeros(region.shape, dtype=np.uint8), LesionClass.NORMAL
    malignant = class_probabilities["malignant"] >= class_probabilities["benign"]
    found = LesionClass.MALIGNANT if malignant else LesionClass.BENIGN
    return region.astype(np.uint8) * np.uint8(found), found
