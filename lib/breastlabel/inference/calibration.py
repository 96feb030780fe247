"""Calibration of class probabilities on validation data.

Temperature scaling and reliability diagrams: Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
sections 4.2 and 2. The expected calibration error is in `breastlabel.evaluation.classification`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

__all__ = [
    "ReliabilityBins",
    "apply_temperature",
    "fit_temperature",
    "negative_log_likelihood",
    "reliability_bins",
    "two_classes",
]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

_TEMPERATURES = (0.05, 20.0)


class ReliabilityBins(NamedTuple):
    """Equal-width bins of the predicted class's probability; means are NaN in empty bins."""

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


def apply_temperature(logits: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Softmax over the last axis of ``logits / temperature``."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1))


def two_classes(logits: Floats) -> npt.NDArray[np.float64]:
    """Logits (...) of a sigmoid as those (..., 2) of a softmax: of "no", which is 0, and of "yes"."""
    yes = np.asarray(logits, dtype=np.float64)
    return np.stack([np.zeros_like(yes), yes], axis=-1)


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
