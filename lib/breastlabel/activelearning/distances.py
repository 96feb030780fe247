"""Squared Euclidean distances between feature vectors."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import pairwise_distances_argmin_min

from breastlabel.activelearning.pool import Doubles, Floats, PoolError, check_rows

__all__ = ["closest_to_mean", "squared_distances_to", "squared_distances_to_nearest"]

# Rows at a time, so that no second array as large as the pool's features is made.
_ROWS = 4096


def squared_distances_to(features: Floats, index: int) -> Doubles:
    """From every row of (N, D) to the row at ``index``: (N,)."""
    return _squared_lengths(features, features[index])


def squared_distances_to_nearest(features: Floats, labelled: Floats | None) -> Doubles:
    """From every row of (N, D) to its nearest labelled row of (L, D): (N,); infinite where L is 0.

    Raises:
        PoolError: the two have not the same D.
    """
    if labelled is None or len(labelled) == 0 or len(features) == 0:
        return np.full(len(features), np.inf)
    check_rows("labelled_features", labelled, ("L", "D"))
    if labelled.shape[1] != features.shape[1]:
        raise PoolError(
            f"labelled_features must have the pool's {features.shape[1]} features; got {labelled.shape[1]}: "
            "compute both with the same model"
        )
    _, distances = pairwise_distances_argmin_min(features, labelled)
    return np.asarray(distances, dtype=np.float64) ** 2


def closest_to_mean(features: Floats) -> int:
    """Index of the row nearest to the mean of all: the most ordinary image; the first of equals."""
    return int(np.argmin(_squared_lengths(features, np.mean(features, axis=0, dtype=np.float64))))


def _squared_lengths(features: Floats, origin: Floats) -> Doubles:
    lengths = np.empty(len(features))
    for start in range(0, len(features), _ROWS):
        difference = features[start : start + _ROWS] - origin
        lengths[start : start + _ROWS] = np.einsum("nd,nd->n", difference, difference, dtype=np.float64)
    return lengths
