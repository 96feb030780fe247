"""Lesions of the reader against candidates of the model, and the FROC curve over them.

A lesion is an 8-connected component of the reader's mask. The rule for a hit: a candidate hits the lesion
with which its intersection over union is largest, if that is at least 0.2. It is laxer than a good
outline and stricter than a touch, so that a candidate as large as the image finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = [
    "FROC_RATES",
    "HIT_IOU",
    "FrocCurve",
    "LesionMatch",
    "froc_at",
    "froc_curve",
    "match_lesions",
]

HIT_IOU = 0.2
"""The least intersection over union with which a candidate counts as having found a lesion."""

CANDIDATE_PROBABILITY = 0.1
"""Where the lesion probability reaches this outside the model's mask, a weaker candidate lies."""

LEAST_CANDIDATE = 1e-4
"""Candidates smaller than this fraction of the image are noise of the probability map."""

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""False positives per image at which the sensitivity is reported."""

_EIGHT = np.ones((3, 3), dtype=bool)


class LesionMatch(NamedTuple):
    """The reader's lesions and the model's candidates in one image.

    Attributes:
        hits: for each lesion, whether a component of the model's mask hits it.
        scores: for each candidate, its mean lesion probability.
        lesions: for each candidate, the index of the lesion that it hits, or -1.
        n_painted: how many candidates, the first ones, are components of the model's mask.
    """

    hits: tuple[bool, ...] = ()
    scores: tuple[float, ...] = ()
    lesions: tuple[int, ...] = ()
    n_painted: int = 0


class FrocCurve(NamedTuple):
    """Free-response ROC: one point per distinct score, from strict to lax, beginning at (0, 0)."""

    fp_per_image: npt.NDArray[np.float64]
    sensitivity: npt.NDArray[np.float64]


def match_lesions(
    reader: npt.NDArray[Any],
    model: npt.NDArray[Any],
    probability: npt.NDArray[np.floating[Any]] | None = None,
) -> LesionMatch:
    """Pairs lesions with candidates.

    Candidates are the components of the model's mask and, for the lax end of the FROC curve, those
    components of ``probability >= 0.1`` that do not touch that mask. Only the former decide ``hits``.

    Args:
        reader: mask (rows, cols).
        model: mask (rows, cols), after all refinement.
        probability: lesion probability (rows, cols); without it every candidate scores 1.
    """
    truth, n_lesions = ndimage.label(np.asarray(reader) > 0, structure=_EIGHT)
    painted, n_painted = ndimage.label(np.asarray(model) > 0, structure=_EIGHT)
    found = _best_lesion(truth, n_lesions, painted, n_painted)
    hits = tuple(lesion in set(found) for lesion in range(n_lesions))
    if probability is None:
        return LesionMatch(hits, (1.0,) * n_painted, tuple(found), n_painted)
    scores = _mean_scores(probability, painted, n_painted)
    weak, n_weak = _weak_candidates(painted > 0, probability)
    return LesionMatch(
        hits,
        tuple(scores + _mean_scores(probability, weak, n_weak)),
        tuple(found + _best_lesion(truth, n_lesions, weak, n_weak)),
        n_painted,
    )


def froc_curve(matches: Sequence[LesionMatch]) -> FrocCurve:
    """FROC over images (Bunch et al., J. Appl. Photogr. Eng. 4, 1978).

    Each lesion counts once, at the best score of the candidates that hit it; a candidate that hits none
    is a false positive; ``fp_per_image`` is over all images, those without lesion included. NaN
    sensitivities where no image has a lesion.
    """
    n_lesions = sum(len(match.hits) for match in matches)
    best: dict[tuple[int, int], float] = {}
    false: list[float] = []
    for index, match in enumerate(matches):
        for score, lesion in zip(match.scores, match.lesions, strict=True):
            if lesion < 0:
                false.append(score)
            else:
                best[index, lesion] = max(score, best.get((index, lesion), score))
    thresholds = np.unique(np.array([*best.values(), *false], dtype=np.float64))[::-1]
    true_scores, false_scores = np.sort(list(best.values())), np.sort(false)
    n_true = len(true_scores) - np.searchsorted(true_scores, thresholds, side="left")
    n_false = len(false_scores) - np.searchsorted(false_scores, thresholds, side="left")
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = np.concatenate([[0.0], n_true]) / np.float64(n_lesions)
        rate = np.concatenate([[0.0], n_false]) / np.float64(len(matches))
    return FrocCurve(rate, sensitivity)


def froc_at(curve: FrocCurve, rates: Sequence[float] = FROC_RATES) -> list[float]:
    """The highest sensitivity reached at no more than each rate of false positives per image."""
    return [
        float(np.max(curve.sensitivity[curve.fp_per_image <= rate], initial=curve.sensitivity[0]))
        for rate in rates
    ]


def _best_lesion(
    truth: npt.NDArray[Any], n_lesions: int, candidates: npt.NDArray[Any], n_candidates: int
) -> list[int]:
    if n_candidates == 0 or n_lesions == 0:
        return [-1] * n_candidates
    pairs = truth.astype(np.int64) * (n_candidates + 1) + candidates
    overlap = np.bincount(pairs.ravel(), minlength=(n_lesions + 1) * (n_candidates + 1))
    overlap = overlap.reshape(n_lesions + 1, n_candidates + 1)
    inside = overlap[1:, 1:]
    union = overlap.sum(axis=1)[1:, None] + overlap.sum(axis=0)[None, 1:] - inside
    agreement = inside / union
    best = agreement.argmax(axis=0)
    reached = agreement[best, np.arange(n_candidates)] >= HIT_IOU
    return [int(lesion) if hit else -1 for lesion, hit in zip(best, reached, strict=True)]


def _weak_candidates(
    painted: npt.NDArray[np.bool_], probability: npt.NDArray[np.floating[Any]]
) -> tuple[npt.NDArray[Any], int]:
    components, n = ndimage.label((probability >= CANDIDATE_PROBABILITY) | painted, structure=_EIGHT)
    if n == 0:
        return components, 0
    keep = np.bincount(components.ravel(), minlength=n + 1) >= LEAST_CANDIDATE * components.size
    keep[0] = False
    keep[np.unique(components[painted])] = False
    renumbered = np.where(keep, np.cumsum(keep), 0)
    return renumbered[components], int(keep.sum())


def _mean_scores(
    probability: npt.NDArray[np.floating[Any]], components: npt.NDArray[Any], n: int
) -> list[float]:
    if n == 0:
        return []
    return [float(v) for v in ndimage.mean(probability, components, index=np.arange(1, n + 1))]
