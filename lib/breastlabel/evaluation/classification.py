"""Measures of the class scores, each over all bootstrap resamples at once.

Every function takes ``weights`` (resamples, images) and answers (resamples,); without weights it
answers one value, shape (1,). scikit-learn has most of these one sample at a time; calling it for 1,000
resamples of 15 measures takes minutes, so the tests hold these against scikit-learn instead. NaN means
undefined (no malignant case, nothing called malignant).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.evaluation.bootstrap import Weights

__all__ = [
    "ECE_BINS",
    "accuracy",
    "auc",
    "confusion_matrix",
    "expected_calibration_error",
    "f1",
    "precision",
    "probabilistic_f1",
    "sensitivity",
    "specificity",
]

ECE_BINS = 15

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[Any]


def accuracy(truth: Flags, predicted: Flags, weights: Weights | None = None) -> Values:
    """Share of images whose predicted class is the reader's."""
    w = _weights(truth, weights)
    return _ratio(w @ (truth == predicted), w.sum(axis=1))


def sensitivity(truth: Flags, called: Flags, weights: Weights | None = None) -> Values:
    """TP / (TP + FN), also called recall. (P2 prints TP / (TP + FP), which is the precision.)"""
    w = _weights(truth, weights)
    return _ratio(w @ _both(truth, called), w @ _flags(truth))


def specificity(truth: Flags, called: Flags, weights: Weights | None = None) -> Values:
    """TN / (TN + FP)."""
    return sensitivity(_flags(truth) == 0, _flags(called) == 0, weights)


def precision(truth: Flags, called: Flags, weights: Weights | None = None) -> Values:
    """TP / (TP + FP); undefined where nothing was called positive."""
    w = _weights(truth, weights)
    return _ratio(w @ _both(truth, called), w @ _flags(called))


def f1(truth: Flags, called: Flags, weights: Weights | None = None) -> Values:
    """2 TP / (2 TP + FP + FN); undefined where there is no positive case."""
    w = _weights(truth, weights)
    positives = w @ _flags(truth)
    value = _ratio(2 * (w @ _both(truth, called)), positives + w @ _flags(called))
    return np.where(positives > 0, value, np.nan)


def probabilistic_f1(truth: Flags, probability: Values, weights: Weights | None = None) -> Values:
    """F1 with probabilities in the place of decisions (Yacouby and Axman, Eval4NLP 2020).

    The measure of the RSNA Screening Mammography challenge (2022): with pTP the sum of p over positives
    and pFP over negatives, precision is pTP / (pTP + pFP), recall pTP / positives, and their harmonic
    mean is 2 pTP / (positives + pTP + pFP). Undefined where there is no positive case.
    """
    w = _weights(truth, weights)
    positives = w @ _flags(truth)
    value = _ratio(2 * (w @ (_flags(truth) * probability)), positives + w @ probability)
    return np.where(positives > 0, value, np.nan)


def auc(truth: Flags, score: Values, weights: Weights | None = None) -> Values:
    """Area under the ROC curve: the chance that a positive outscores a negative, ties half
    (Hanley and McNeil, Radiology 143, 1982)."""
    w = _weights(truth, weights)
    if w.shape[1] == 0:
        return np.full(len(w), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = np.asarray(score)[order]
    ties = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    w = w[:, order]
    positive = np.add.reduceat(w * _flags(truth)[order], ties, axis=1)
    negative = np.add.reduceat(w * (1 - _flags(truth)[order]), ties, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return _ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def expected_calibration_error(
    truth: Flags, probabilities: Values, weights: Weights | None = None, *, bins: int = ECE_BINS
) -> Values:
    """Expected calibration error of the most probable class (Guo et al., ICML 2017).

    Args:
        truth: class index of each image.
        probabilities: (images, classes), each row sums to 1.
        bins: equally wide bins of confidence.
    """
    w = _weights(truth, weights)
    if w.shape[1] == 0:
        return np.full(len(w), np.nan)
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == truth) - confidence
    member = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    in_bin = np.zeros((len(truth), bins))
    in_bin[np.arange(len(truth)), member] = gap
    return _ratio(np.abs(w @ in_bin).sum(axis=1), w.sum(axis=1))


def confusion_matrix(truth: Flags, predicted: Flags, *, n_classes: int = 3) -> npt.NDArray[np.int64]:
    """Counts (reader's class, model's class)."""
    pairs = np.asarray(truth, dtype=np.int64) * n_classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _weights(truth: Flags, weights: Weights | None) -> Weights:
    return np.ones((1, len(truth))) if weights is None else weights


def _flags(flags: Flags) -> Values:
    return np.asarray(flags, dtype=np.float64)


def _both(truth: Flags, called: Flags) -> Values:
    return _flags(truth) * _flags(called)


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Values:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.asarray(numerator, dtype=np.float64) / denominator, dtype=np.float64)
