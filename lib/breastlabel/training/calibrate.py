"""What is chosen on the validation split after training: temperature and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.losses import JointLoss
from breastlabel.training.operating_point import OperatingPoint, operating_point
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.validation import Outputs, dice_scores, judged_masks, run_network, validate

__all__ = ["Choice", "Kept", "choose_on_validation"]

#: Of malignant cases, unless another is asked for.
SENSITIVITY = 0.9

#: Of each kind: chance parts fewer of them, and the temperature runs to its bound.
_LEAST_CANCERS = 10

_MASK_THRESHOLDS = np.round(np.arange(0.3, 0.71, 0.05), 2)
# Never below one half: an image is called normal only where that is the likeliest answer.
_NORMAL_THRESHOLDS = np.round(np.arange(0.5, 0.96, 0.05), 2)


class Kept(NamedTuple):
    """Temperature and thresholds that were chosen before."""

    calibration: Mapping[str, float]
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """What a checkpoint records of its validation split.

    Attributes:
        calibration: ``temperature``, fitted by maximum likelihood (Guo et al., ICML 2017);
            ``invasive_temperature`` likewise, where the network tells invasive cancers and there are enough
            of both kinds.
        thresholds: ``mask``, the probability from which a pixel belongs to a lesion, with the best mean
            Dice; ``normal``, the probability of normal from which an outline is withdrawn, with the best
            mean of Dice on images with a lesion and of empty masks on images without; ``malignant``, the
            calibrated probability of malignant from which a case is called so, see ``operating_point``.
        figures: loss, Dice, AUC on the same images.
        operating_point: what ``malignant`` was chosen for and what it achieves on the same cases; None where
            none of them is malignant.
    """

    calibration: dict[str, float]
    thresholds: dict[str, float]
    figures: dict[str, float]
    operating_point: OperatingPoint | None = None


def choose_on_validation(
    network: HybridNetwork,
    val: TrainingArrays | None,
    *,
    views: Sequence[str] = (),
    kept: Kept | None = None,
    sensitivity: float = SENSITIVITY,
) -> Choice:
    """Choose on validation images; the neutral values where there are none, or too few kinds.

    Args:
        views: the test-time flips with which the checkpoint will answer; what suits one pass alone does not
            suit their mean, which is less extreme.
        kept: what to keep instead of choosing, where the images are too few; the figures are measured.
        sensitivity: for which ``malignant`` is chosen.
    """
    from breastlabel.inference.calibration import apply_temperature, fit_temperature, two_classes

    temperature, thresholds = 1.0, {"mask": 0.5, "normal": 0.5}
    calibration = {"temperature": temperature}
    if kept is not None:
        calibration, thresholds = dict(kept.calibration), dict(kept.thresholds)
    if val is None:
        return Choice(calibration, thresholds, {})
    known, point = val.labels >= 0, None
    # What is kept is measured, if there is anything to measure.
    if kept is None or "malignant" in kept.thresholds:
        outputs = run_network(network, val, views=views)
    if kept is None:
        if len(np.unique(val.labels[known])) > 1:
            temperature = float(fit_temperature(outputs.class_logits[known], val.labels[known]))
            calibration = {"temperature": temperature}
        told = val.invasive >= 0
        kinds = np.bincount(val.invasive[told], minlength=2)
        if outputs.invasive_logits is not None and kinds.min() >= _LEAST_CANCERS:
            logits = two_classes(outputs.invasive_logits[told])
            calibration["invasive_temperature"] = fit_temperature(logits, val.invasive[told])
        judged = judged_masks(network, val)
        if val.masks[judged].any():
            thresholds = _thresholds(outputs, val, judged, temperature)
    if kept is None or "malignant" in kept.thresholds:
        # By the same softmax as at inference, or a case on the threshold might fall to its other side.
        scores = apply_temperature(outputs.class_logits, calibration.get("temperature", 1.0))
        point = operating_point(
            scores[known, LesionClass.MALIGNANT],
            val.labels[known] == LesionClass.MALIGNANT,
            wanted=sensitivity,
            threshold=None if kept is None else kept.thresholds["malignant"],
        )
        if point is not None:
            thresholds["malignant"] = point["threshold"]
    figures = validate(network, val, JointLoss(), TrainingSettings())
    figures = {k.removeprefix("val_"): v for k, v in figures.items() if np.isfinite(v)}
    return Choice(calibration, thresholds, figures, point)


def _thresholds(
    outputs: Outputs, val: TrainingArrays, judged: npt.NDArray[np.bool_], temperature: float
) -> dict[str, float]:
    masks = val.masks[judged]
    logits = outputs.mask_logits[judged]
    by_threshold = [dice_scores(logits, masks, threshold=float(t)) for t in _MASK_THRESHOLDS]
    best = int(np.argmax([np.nanmean(d) for d in by_threshold]))
    mask_threshold = float(_MASK_THRESHOLDS[best])
    class_logits = outputs.class_logits[val.image_cases[judged]]
    p_normal = _softmax(class_logits / temperature)[:, LesionClass.NORMAL]
    empty = ~(logits > np.log(mask_threshold / (1 - mask_threshold))).any((1, 2))
    lesion = masks.any((1, 2))
    merits = []
    for threshold in _NORMAL_THRESHOLDS:
        withdrawn = p_normal >= threshold
        with_lesion = np.where(withdrawn, 0, by_threshold[best])[lesion].mean()
        without = (withdrawn | empty)[~lesion].mean() if (~lesion).any() else 0.0
        merits.append(with_lesion + without)
    return {"mask": mask_threshold, "normal": float(_NORMAL_THRESHOLDS[int(np.argmax(merits))])}


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
