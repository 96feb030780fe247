"""The probability from which a case is called malignant, chosen for a stated sensitivity."""

from __future__ import annotations

import math
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

__all__ = ["OperatingPoint", "operating_point"]


class OperatingPoint(TypedDict):
    """A threshold, and what it achieves on the cases that it was chosen on.

    Attributes:
        sensitivity_wanted: what was asked for.
        threshold: a probability of malignant at or above it is called malignant.
        sensitivity: share of the malignant cases that are called so; at least what was wanted where the
            threshold was chosen here.
        specificity: share of the others that are not; None where there are no others.
        n_malignant, n_other: how many cases that is.
    """

    sensitivity_wanted: float
    threshold: float
    sensitivity: float
    specificity: float | None
    n_malignant: int
    n_other: int


def operating_point(
    scores: npt.NDArray[np.floating[Any]],
    malignant: npt.NDArray[np.bool_],
    *,
    wanted: float = 0.9,
    threshold: float | None = None,
) -> OperatingPoint | None:
    """The highest threshold that finds the wanted share of the malignant cases; None where there are none.

    It lies halfway between the lowest score that must be found and the next one below, so that no case lies
    on it and other rounding on another machine changes nothing.

    Args:
        scores: (N,) probabilities of malignant.
        malignant: (N,) whether each case is.
        wanted: sensitivity, in (0, 1].
        threshold: to measure this one instead.

    Raises:
        ValueError: ``wanted`` is no sensitivity.
    """
    if not 0 < wanted <= 1:
        raise ValueError(f"the wanted sensitivity must be above 0 and at most 1; got {wanted}")
    n = int(malignant.sum())
    if not n:
        return None
    if threshold is None:
        # A little less, for 0.9 * 10 must not become 10 by rounding.
        found = np.sort(scores[malignant])[n - math.ceil(wanted * n - 1e-9)]
        below = scores[scores < found]
        threshold = float((found + (below.max() if len(below) else 0.0)) / 2)
    called = scores >= threshold
    others = len(scores) - n
    return OperatingPoint(
        sensitivity_wanted=wanted,
        threshold=float(threshold),
        sensitivity=float(called[malignant].mean()),
        specificity=float((~called[~malignant]).mean()) if others else None,
        n_malignant=n,
        n_other=others,
    )
