"""Uncertainty as pure functions of stacked stochastic passes.

Axes: class probabilities come as (T, ..., K), T passes first and K classes last, the classes summing to
one; mask probabilities as (T, rows, cols). T is one or more. Entropies are in nats.

References: Gal, Uncertainty in Deep Learning (PhD thesis, Cambridge 2016), section 3.3; Houlsby et al.,
Bayesian Active Learning for Classification and Preference Learning, arXiv:1112.5745 (2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "as_two_classes",
    "class_scores",
    "entropy",
    "mask_disagreement",
    "mutual_information",
    "predictive_entropy",
    "predictive_variance",
    "variation_ratio",
]

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]


def entropy(probabilities: Floats) -> Doubles:
    """Shannon entropy over the last axis: (..., K) -> (...), in nats; 0 log 0 = 0."""
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(np.where(p > 0.0, p, 1.0))
    return np.asarray(-np.sum(p * logs, axis=-1))


def predictive_entropy(passes: Floats) -> Doubles:
    """Entropy of the mean prediction: all uncertainty. (T, ..., K) -> (...), 0 to log K."""
    return entropy(np.mean(passes, axis=0, dtype=np.float64))


def mutual_information(passes: Floats) -> Doubles:
    """BALD: predictive entropy less the mean entropy of the passes; what more data could resolve.

    (T, ..., K) -> (...), 0 where all passes agree, however unsure each of them is.
    """
    expected = np.mean(entropy(passes), axis=0)
    # Jensen's inequality makes it non-negative; rounding must not.
    return np.asarray(np.maximum(predictive_entropy(passes) - expected, 0.0))


def variation_ratio(passes: Floats) -> Doubles:
    """Fraction of passes that do not vote for the commonest class. (T, ..., K) -> (...), 0 to 1 - 1/K."""
    array = np.asarray(passes)
    votes = np.argmax(array, axis=-1)[..., None] == np.arange(array.shape[-1])
    return np.asarray(1.0 - np.max(np.mean(votes, axis=0), axis=-1))


def predictive_variance(passes: Floats) -> Doubles:
    """Variance over the passes of each class's probability, averaged over the classes. -> (...)"""
    return np.asarray(np.mean(np.var(passes, axis=0, dtype=np.float64), axis=-1))


def mask_disagreement(passes: Floats, *, level: float = 0.5) -> float:
    """Mean of 1 - Dice over all pairs of passes' masks; two empty masks agree.

    Args:
        passes: (T, rows, cols), mask probabilities.
        level: threshold that makes them masks.

    Returns:
        0 (all masks equal, or one pass) to 1 (no two overlap).
    """
    array = np.asarray(passes)
    n = len(array)
    if n < 2:
        return 0.0
    masks = (array >= level).reshape(n, -1).astype(np.float32)
    areas = masks.sum(axis=1, dtype=np.float64)
    total = areas[:, None] + areas[None, :]
    overlap = 2.0 * (masks @ masks.T).astype(np.float64)
    dice = np.where(total > 0.0, overlap / np.maximum(total, 1.0), 1.0)
    pairs = np.triu_indices(n, k=1)
    return float(np.mean(1.0 - dice[pairs]))


def class_scores(passes: Floats) -> dict[str, float]:
    """What passes (T, K) say of one case: its entropy (nats), mutual information and variation ratio."""
    return {
        "class_entropy": float(predictive_entropy(passes)),
        "mutual_information": float(mutual_information(passes)),
        "variation_ratio": float(variation_ratio(passes)),
    }


def as_two_classes(probabilities: Floats) -> Floats:
    """(...) lesion probabilities -> (..., 2), background first, for the functions above."""
    p = np.asarray(probabilities)
    return np.stack([1.0 - p, p], axis=-1)
