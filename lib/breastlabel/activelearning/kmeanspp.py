"""k-means++ seeding as selection: each pick drawn with chances proportional to D squared.

Reference: Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, SODA 2007, section 2.2.
D is the distance to the nearest image that is labelled or taken already.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from breastlabel.activelearning.distances import (
    closest_to_mean,
    squared_distances_to,
    squared_distances_to_nearest,
)
from breastlabel.activelearning.pool import Doubles, Floats

__all__ = ["d2_sampling", "kmeans_plus_plus"]


def kmeans_plus_plus(
    features: Floats, n: int, *, rng: np.random.Generator, labelled: Floats | None = None
) -> list[int]:
    """Draw n images that are spread over the pool, dense regions more often than outliers.

    On a cold start, with nothing labelled, the first is the image closest to the mean, not a random one.

    Args:
        features: (N, D) of the pool.
        n: how many, up to N.
        rng: source of chance.
        labelled: (L, D) of the labelled images.

    Returns:
        n different indices into the pool, first picked first.
    """
    if n == 0:
        return []
    nearest = squared_distances_to_nearest(features, labelled)
    first = None if np.any(np.isfinite(nearest)) else closest_to_mean(features)
    return d2_sampling(lambda i: squared_distances_to(features, i), nearest, n, rng=rng, first=first)


def d2_sampling(
    squared_distances: Callable[[int], Doubles],
    nearest: Doubles,
    n: int,
    *,
    rng: np.random.Generator,
    first: int | None = None,
) -> list[int]:
    """The draw itself, in any space.

    Args:
        squared_distances: index -> (N,), the squared distances from every image to that one.
        nearest: (N,), squared distance of each to the nearest labelled image; infinite where none is.
        n: how many.
        rng: source of chance.
        first: the first pick, in place of a drawn one; required where ``nearest`` is infinite.
    """
    nearest = nearest.copy()
    free = np.ones(len(nearest), dtype=bool)
    picked: list[int] = []
    while len(picked) < n:
        index = first if first is not None and not picked else _draw(nearest, free, rng)
        picked.append(index)
        free[index] = False
        nearest = np.minimum(nearest, squared_distances(index))
    return picked


def _draw(
    nearest: Doubles, free: np.ndarray[tuple[int], np.dtype[np.bool_]], rng: np.random.Generator
) -> int:
    weights = np.where(free, np.maximum(nearest, 0.0), 0.0)
    if weights.sum() <= 0.0:
        # Only duplicates of what is taken are left: they are all alike.
        weights = free.astype(np.float64)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
