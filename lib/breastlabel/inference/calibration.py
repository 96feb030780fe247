"""Calibration of class probabilities, and the choice of thresholds, all on validation data.

Temperature scaling and the expected calibration error: Guo et al., On Calibration of Modern Neural
Networks, ICML 2017, sections 4.2 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

__all__ = [
    "ReliabilityBins",
    "ThresholdChoice",
    "apply_temperature",
    "choose_class_threshold",
    "choose_mask_threshold",
    "expected_calibration_error",
    "fit_temperature",
    "negative_log_likelihood",
    "reliability_bins",
]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

_TEMPERATURES = (0.05, 20.0)


class ReliabilityBins(NamedTuple):
    """Equal-width bins of the predicted class's probability; means are NaN in empty bins."""

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


class ThresholdChoice(NamedTuple):
    """A threshold and the figure that it reached on the data it was chosen on."""

    threshold: float
    value: float


def apply_temperature(logits: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Softmax over the last axis of ``logits / temperature``."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1))


def negative_log_likelihood(logits: Floats, labels: Ints, *, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats of ``labels`` (N,) under ``logits`` (N, K)."""
    logs = log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1)
    return float(-np.mean(logs[np.arange(len(labels)), labels]))


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature that minimises the negative log-likelihood of held-out labels.

    Args:
        logits: (N, K), of images the network was not trained on.
        labels: (N,), class indices.

    Returns:
        Within 0.05 to 20; 1.0 where there is nothing to fit. The likelihood is convex in the inverse
        temperature, so the bounded search finds its only minimum.
    """
    if len(labels) == 0:
        return 1.0
    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, labels, temperature=float(np.exp(log_t))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def reliability_bins(probabilities: Floats, labels: Ints, *, n_bins: int = 15) -> ReliabilityBins:
    """Bin (N, K) ``probabilities`` by the predicted class's probability, against ``labels`` (N,)."""
    p = np.asarray(probabilities, dtype=np.float64)
    confidence = p.max(axis=-1)
    correct = (p.argmax(axis=-1) == np.asarray(labels)).astype(np.float64)
    # Bin i is (i / n, (i + 1) / n], as in the paper.
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(
            confidence=np.bincount(index, weights=confidence, minlength=n_bins) / counts,
            accuracy=np.bincount(index, weights=correct, minlength=n_bins) / counts,
            counts=counts,
        )


def expected_calibration_error(probabilities: Floats, labels: Ints, *, n_bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over the bins, weighted by their counts; NaN for N = 0."""
    if len(labels) == 0:
        return float("nan")
    bins = reliability_bins(probabilities, labels, n_bins=n_bins)
    gaps = np.where(bins.counts > 0, np.abs(bins.confidence - bins.accuracy), 0.0)
    return float(np.sum(gaps * bins.counts) / len(labels))


def choose_mask_threshold(
    probabilities: Sequence[Floats],
    masks: Sequence[npt.NDArray[np.generic]],
    *,
    grid: Sequence[float] = tuple(np.round(np.arange(0.1, 0.91, 0.05), 2)),
) -> ThresholdChoice:
    """The threshold of ``grid`` with the best mean Dice over the images that have a lesion.

    Args:
        probabilities: one (rows, cols) map an image, in [0, 1].
        masks: the reference of each, nonzero in the lesion.

    Returns:
        The threshold nearest to 0.5 among the best, with its mean Dice; (0.5, NaN) where no image has
        a lesion.
    """
    levels = np.asarray(grid, dtype=np.float64)
    per_image = [
        _dice_at_levels(np.asarray(p), np.asarray(m) != 0, levels)
        for p, m in zip(probabilities, masks, strict=True)
        if np.any(m)
    ]
    if not per_image:
        return ThresholdChoice(0.5, float("nan"))
    mean = np.mean(per_image, axis=0)
    best = np.flatnonzero(mean >= mean.max() - 1e-9)
    chosen = best[np.argmin(np.abs(levels[best] - 0.5))]
    return ThresholdChoice(float(levels[chosen]), float(mean[chosen]))


def choose_class_threshold(
    scores: Floats, positives: npt.NDArray[np.bool_], *, sensitivity: float
) -> ThresholdChoice:
    """The highest threshold at which ``score >= threshold`` finds at least ``sensitivity`` of the positives.

    Args:
        scores: (N,), for example the probability of malignancy.
        positives: (N,), true for the class asked about.
        sensitivity: wanted, in (0, 1].

    Returns:
        The threshold and the sensitivity reached; ``ValueError`` where there is no positive.
    """
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(f"sensitivity must lie in (0, 1]; got {sensitivity:g}")
    ranked = np.sort(np.asarray(scores, dtype=np.float64)[np.asarray(positives, dtype=np.bool_)])[::-1]
    if len(ranked) == 0:
        raise ValueError("at least one positive is required to choose a threshold; got none")
    needed = int(np.ceil(sensitivity * len(ranked) - 1e-9))
    level = float(ranked[needed - 1])
    return ThresholdChoice(level, float(np.mean(ranked >= level)))


def _dice_at_levels(
    probability: Floats, reference: npt.NDArray[np.bool_], levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    # Sorted values make each level one binary search instead of one pass over the image.
    inside = np.sort(probability[reference])
    every = np.sort(probability, axis=None)
    overlap = len(inside) - np.searchsorted(inside, levels, side="left")
    predicted = len(every) - np.searchsorted(every, levels, side="left")
    return np.asarray(2.0 * overlap / (predicted + len(inside)))
