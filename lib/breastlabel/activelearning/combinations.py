"""Several ideas in one batch: scores added by rank, and uncertainty followed by diversity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from breastlabel.activelearning.coreset import k_center_greedy
from breastlabel.activelearning.pool import Doubles, Floats, PoolError
from breastlabel.activelearning.stochastic import top_n

__all__ = ["diverse_among_best", "rank_weighted_sum"]


def rank_weighted_sum(scores: Sequence[Floats], weights: Sequence[float]) -> Doubles:
    """Weighted mean of the scores' relative ranks: the Borda count with weights.

    Ranks, because nats and Dice cannot be added. Each score becomes (rank - 1/2) / N, rank 1 the lowest,
    equals sharing their mean rank.

    Args:
        scores: of each idea (N,), higher is more useful.
        weights: one for each, zero or more, not all zero.

    Returns:
        (N,), between 0 and 1.

    Raises:
        PoolError: the numbers differ, or the weights are no weights.
    """
    w = np.asarray(weights, dtype=np.float64)
    if len(w) != len(scores) or not np.all(w >= 0.0) or w.sum() <= 0.0:
        raise PoolError(
            f"weights must be {len(scores)} numbers of zero or more, not all zero; got {list(weights)}"
        )
    ranks = np.stack([(rankdata(s) - 0.5) / max(len(s), 1) for s in scores])
    return np.asarray(w @ ranks / w.sum())


def diverse_among_best(
    scores: Floats, features: Floats, n: int, *, factor: float = 4.0, labelled: Floats | None = None
) -> list[int]:
    """The core-set of the ``factor`` n most useful images.

    Compare: Zhdanov, Diverse Mini-batch Active Learning, arXiv:1901.05954 (2019), which prefilters by
    uncertainty with a factor and then clusters.

    Args:
        scores: (N,), higher is more useful.
        features: (N, D).
        n: how many, up to N.
        factor: size of the prefiltered set in batches, 1 (diversity has no say) or more.
        labelled: (L, D) of the labelled images.

    Raises:
        PoolError: the factor is below 1.
    """
    if not factor >= 1.0:
        raise PoolError(f"the prefilter's factor must be 1 or more; got {factor}")
    best = top_n(scores, int(min(len(scores), np.ceil(factor * n))))
    return [best[i] for i in k_center_greedy(features[best], n, labelled=labelled)]
