"""Stochastic batches: the best n after Gumbel noise, instead of the n best, which are often alike.

Reference: Kirsch et al., Stochastic Batch Acquisition: A Simple Baseline for Deep Active Learning, TMLR
2023, arXiv:2106.12059 (2021), section 3 and table 1. Keys perturbed by Gumbel(0, 1/beta) noise and sorted
are a draw without replacement with chances proportional to exp(beta key):

    softmax   key = s        chances ~ exp(beta s)
    power     key = log s    chances ~ s ** beta
    softrank  key = -log r   chances ~ r ** -beta, r = 1 for the best score

beta = 0 is chance, beta = infinity the plain top n. Here the noise is Gumbel(0, 1) and the key is
multiplied by beta, which orders alike and is defined at both ends.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from scipy.stats import rankdata

from breastlabel.activelearning.pool import Doubles, Floats, PoolError

__all__ = ["Perturbation", "gumbel_top_n", "perturbation_keys", "top_n"]


class Perturbation(StrEnum):
    """What the noise is added to."""

    SOFTMAX = "softmax"
    POWER = "power"
    SOFTRANK = "softrank"


def top_n(scores: Floats, n: int) -> list[int]:
    """Indices of the n highest of (N,), best first; of equals, the earlier first."""
    return [int(i) for i in np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")[:n]]


def perturbation_keys(scores: Floats, perturbation: Perturbation) -> Doubles:
    """Keys of scores (N,), higher is more useful: (N,); the power of a zero score is -infinity.

    Raises:
        PoolError: power was asked for and a score is negative.
    """
    s = np.asarray(scores, dtype=np.float64)
    if perturbation is Perturbation.SOFTMAX:
        return s
    if perturbation is Perturbation.SOFTRANK:
        return np.asarray(-np.log(rankdata(-s, method="ordinal")))
    if np.any(s < 0.0):
        raise PoolError(f"power acquisition needs scores of zero or more; got {s.min():.3g}: use softrank")
    return np.asarray(np.where(s > 0.0, np.log(np.where(s > 0.0, s, 1.0)), -np.inf))


def gumbel_top_n(keys: Floats, n: int, *, beta: float, rng: np.random.Generator) -> list[int]:
    """Draw n of N without replacement, chances proportional to exp(beta key), most useful first.

    Args:
        keys: (N,); -infinity is drawn only after all others (unless beta is 0).
        n: how many, up to N.
        beta: 0 (chance) to infinity (the n highest keys, equals in random order).
        rng: source of chance; as many numbers are used whatever beta is.

    Raises:
        PoolError: beta is negative.
    """
    if not beta >= 0.0:
        raise PoolError(f"beta must be 0 or more; got {beta}")
    k = np.asarray(keys, dtype=np.float64)
    noise = rng.gumbel(size=len(k))
    if beta == 0.0:
        perturbed = noise
    elif np.isinf(beta):
        perturbed = k
    else:
        perturbed = beta * k + noise
    order = np.lexsort((-noise, -perturbed))
    return [int(i) for i in order[:n]]
