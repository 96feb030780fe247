"""Core-set: a batch that leaves no image of the pool far from a labelled one.

Reference: Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR
2018, arXiv:1708.00489, algorithm 1 (greedy k-center, within twice the best radius; Gonzalez 1985).
"""

from __future__ import annotations

import numpy as np

from breastlabel.activelearning.distances import (
    closest_to_mean,
    squared_distances_to,
    squared_distances_to_nearest,
)
from breastlabel.activelearning.pool import Floats

__all__ = ["k_center_greedy"]


def k_center_greedy(features: Floats, n: int, *, labelled: Floats | None = None) -> list[int]:
    """Take the image that is farthest from all that is labelled or taken, n times over.

    Deterministic. On a cold start, with nothing labelled, the first is the image closest to the mean.

    Args:
        features: (N, D) of the pool.
        n: how many, up to N.
        labelled: (L, D) of the labelled images.

    Returns:
        n different indices into the pool, first picked first.
    """
    nearest = squared_distances_to_nearest(features, labelled)
    picked: list[int] = []
    while len(picked) < n:
        cold = not picked and not np.any(np.isfinite(nearest))
        index = closest_to_mean(features) if cold else int(np.argmax(nearest))
        picked.append(index)
        nearest = np.minimum(nearest, squared_distances_to(features, index))
        # Below zero, so that a duplicate of a taken image still comes before the image itself again.
        nearest[picked] = -1.0
    return picked
