"""What a model makes of labelled images, in the form in which two models are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.step import outlines
from breastlabel.training.validation import area_under_roc, dice_scores, judged_masks, run_network

__all__ = ["Answers", "Difference", "answers", "auc_difference", "dice_difference"]

Difference = tuple[float, float, float]
"""First minus second on the same images, and the ends of its 95 % interval."""


@dataclass(frozen=True)
class Answers:
    """A model's answers: outlines by image id, classes by the case's key; for a single image that is its id.

    Attributes:
        dice: of the images with an outlined lesion.
        scores: calibrated probability of malignant of each case.
        malignant: whether the case is, where its class is known.
        groups: patients, by image id and by key.
        outlines: whether the model outlines lesions at all.
    """

    dice: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    malignant: Mapping[str, bool] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    outlines: bool = True

    def __or__(self, other: Answers) -> Answers:
        """The answers to both sets of images."""
        return Answers(
            {**self.dice, **other.dice},
            {**self.scores, **other.scores},
            {**self.malignant, **other.malignant},
            {**self.groups, **other.groups},
            self.outlines,
        )

    @property
    def n_patients(self) -> int:
        """Of how many patients there is what decides: an outlined lesion, or else a malignant case."""
        deciding = self.dice if self.outlines else [k for k, malignant in self.malignant.items() if malignant]
        return len({self.groups[i] for i in deciding})

    def mean_dice(self) -> float | None:
        """Over the images with an outlined lesion; None where there is none."""
        return float(np.mean(list(self.dice.values()))) if self.dice else None

    def auc(self) -> float | None:
        """Of malignant against the rest; None without images of both."""
        ids = list(self.malignant)
        truth = np.array([self.malignant[i] for i in ids], dtype=bool)
        area = area_under_roc(np.array([self.scores[i] for i in ids]), truth)
        return float(area) if np.isfinite(area) else None


def answers(
    network: HybridNetwork,
    arrays: TrainingArrays,
    *,
    mask_threshold: float = 0.5,
    temperature: float = 1.0,
    views: Sequence[str] = (),
) -> Answers:
    """A network's answers to prepared images.

    Args:
        mask_threshold: probability from which a pixel belongs to a lesion.
        temperature: divides the class logits; between three classes it can change which image is the
            likelier malignant one.
        views: test-time flips that are averaged.
    """
    from breastlabel.inference.calibration import apply_temperature

    outputs = run_network(network, arrays, views=views)
    dice = dice_scores(outputs.mask_logits, arrays.masks, threshold=mask_threshold)
    dice = np.where(judged_masks(network, arrays), dice, np.nan)
    scores = apply_temperature(outputs.class_logits, temperature)[:, LesionClass.MALIGNANT]
    # A breast goes by the id of one of its images; an answer to it and one to that image are kept apart.
    ids, keys = [str(i) for i in arrays.ids], [str(k) for k in arrays.keys]
    groups = {i: str(g) for i, g in zip(ids, arrays.image_groups, strict=True)}
    groups |= {k: str(g) for k, g in zip(keys, arrays.groups, strict=True)}
    return Answers(
        {i: float(d) for i, d in zip(ids, dice, strict=True) if np.isfinite(d)},
        {k: float(s) for k, s in zip(keys, scores, strict=True)},
        {k: int(c) == LesionClass.MALIGNANT for k, c in zip(keys, arrays.labels, strict=True) if c >= 0},
        groups,
        outlines(network),
    )


def dice_difference(first: Answers, second: Answers) -> Difference | None:
    """Of mean Dice, by paired bootstrap over patients; None without an outlined lesion."""
    # Imported here and below: evaluation builds on training.
    from breastlabel.evaluation.bootstrap import paired_bootstrap

    both = sorted(first.dice.keys() & second.dice.keys())
    if not both:
        return None
    found = paired_bootstrap(
        np.array([first.dice[i] for i in both]),
        np.array([second.dice[i] for i in both]),
        [first.groups[i] for i in both],
    )
    return found.mean, found.low, found.high


def auc_difference(first: Answers, second: Answers) -> Difference | None:
    """Of malignant AUC, as `dice_difference`; None without malignant and other images."""
    from breastlabel.evaluation.bootstrap import paired_bootstrap
    from breastlabel.evaluation.classification import auc

    both = sorted(first.malignant.keys() & second.malignant.keys())
    truth = np.array([first.malignant[i] for i in both], dtype=bool)
    if truth.all() or not truth.any():
        return None
    found = paired_bootstrap(
        np.array([first.scores[i] for i in both]),
        np.array([second.scores[i] for i in both]),
        [first.groups[i] for i in both],
        statistic=lambda scores, weights: auc(truth, scores, weights),
    )
    return found.mean, found.low, found.high
