"""What a predictor says about one breast, shown in several images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference.morphology import BoolArray
from breastlabel.inference.prediction import Prediction

__all__ = ["SequencePrediction", "decide_breast", "paint"]


@dataclass(frozen=True)
class SequencePrediction:
    """One class for a breast, and an outline in each image of it.

    Attributes:
        images: the answer for each image, in the order given; their class and probabilities are the breast's.
        newest: of each image, whether it is of the newest exam, which is judged; the others are priors.
        class_probabilities: calibrated; ``normal``, ``benign``, ``malignant`` in this order, sum 1.
        malignancy_probability: that of ``malignant``.
        predicted: see `decide_breast`.
        checkpoint_version: of the model that answered; of an ensemble all of them.
        uncertainty: as `Prediction.uncertainty`, of the breast's class; ``mask_disagreement`` is the mean
            over the images of the newest exam, and absent where the network outlines nothing.
        above_operating_point: whether the probability of malignancy reaches the threshold that was chosen for
            a stated sensitivity; None where the checkpoint names none.
        invasive_probability: calibrated, that the cancer is invasive and not in situ, if there is one; None
            where the checkpoint does not tell.
        seconds: that each stage took: ``prepare``, ``forward``, ``uncertainty``, ``explain``, ``restore``.
    """

    images: tuple[Prediction, ...]
    newest: tuple[bool, ...]
    class_probabilities: Mapping[str, float]
    malignancy_probability: float
    predicted: LesionClass
    checkpoint_version: str
    uncertainty: Mapping[str, float] | None = None
    above_operating_point: bool | None = None
    invasive_probability: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def decide_breast(
    regions: Sequence[BoolArray] | None,
    newest: Sequence[bool],
    class_probabilities: Mapping[str, float],
    *,
    normal_threshold: float,
) -> LesionClass:
    """The class of a breast, which agrees with its outlines.

    The breast has a lesion if a region is left in an image of the newest exam *and* the probability of normal
    is below ``normal_threshold``; it is then of the likelier of the two lesion classes, malignant on a tie.
    What an older exam shows decides nothing. Where the network outlines nothing (``regions`` is None), the
    probability of normal decides alone.

    Args:
        regions: (rows, cols) of each image, true in the outlined lesion.
        newest: of each image, whether it is of the newest exam.
        class_probabilities: of ``normal``, ``benign`` and ``malignant``.
    """
    seen = regions is None or any(r.any() for r, new in zip(regions, newest, strict=True) if new)
    if not seen or class_probabilities["normal"] >= normal_threshold:
        return LesionClass.NORMAL
    malignant = class_probabilities["malignant"] >= class_probabilities["benign"]
    return LesionClass.MALIGNANT if malignant else LesionClass.BENIGN


def paint(region: BoolArray, lesion_class: LesionClass) -> LabelArray:
    """The region in the value of the class; nothing where that is normal."""
    return region.view(np.uint8) * np.uint8(lesion_class)
