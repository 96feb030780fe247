"""Percentile bootstrap over patients.

A resample draws as many patients as there are, with replacement; all images of a patient go together.
It is held as weights (resamples, images): how often each image was drawn. A statistic that takes such
weights and answers one value per resample is computed for all 1,000 resamples at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

__all__ = [
    "Bootstrap",
    "Interval",
    "PairedDifference",
    "Statistic",
    "Weights",
    "paired_bootstrap",
    "weighted_mean",
]

Weights = npt.NDArray[np.float64]
"""(resamples, images): how often each image was drawn."""

Statistic = Callable[[Weights], npt.NDArray[np.float64]]
"""Weights (resamples, images) -> values (resamples,); NaN where the resample leaves it undefined."""


class Interval(TypedDict):
    """A measure on all images, and its 95 % percentile interval [low, high]."""

    mean: float
    ci95: list[float]


class PairedDifference(NamedTuple):
    """First minus second on the same images.

    Attributes:
        mean: the difference on all images.
        low: 2.5th percentile over resamples.
        high: 97.5th percentile.
    """

    mean: float
    low: float
    high: float


class Bootstrap:
    """The resamples of one set of images.

    Args:
        groups: for each image, the key of its patient (or group of near-duplicates).
        resamples: how many to draw.
        seed: makes the intervals repeatable.
    """

    def __init__(self, groups: Sequence[object], *, resamples: int = 1000, seed: int = 0) -> None:
        names, codes = np.unique([str(group) for group in groups], return_inverse=True)
        self.n_images = len(codes)
        self.n_groups = len(names)
        self._codes = codes
        self._resamples = resamples
        self._seed = seed

    @cached_property
    def weights(self) -> Weights:
        """(resamples, images)."""
        if self.n_groups == 0:
            return np.zeros((self._resamples, 0))
        rng = np.random.default_rng(self._seed)
        drawn = rng.multinomial(
            self.n_groups, np.full(self.n_groups, 1 / self.n_groups), size=self._resamples
        )
        return drawn[:, self._codes].astype(np.float64)

    def interval(self, statistic: Statistic) -> Interval | None:
        """The statistic on all images with its interval; None where it is undefined there.

        Resamples that leave it undefined (no malignant case drawn) do not enter the interval.
        """
        point = float(statistic(np.ones((1, self.n_images)))[0])
        if not np.isfinite(point):
            return None
        values = statistic(self.weights)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (point, point)
        return {"mean": point, "ci95": [float(low), float(high)]}


def weighted_mean(values: npt.NDArray[Any], weights: Weights) -> npt.NDArray[np.float64]:
    """Mean over the images whose value is not NaN, for each resample; NaN where there is none."""
    known = np.isfinite(values)
    total = weights[:, known] @ np.asarray(values, dtype=np.float64)[known]
    count = weights[:, known].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / count, dtype=np.float64)


def paired_bootstrap(
    first: npt.NDArray[Any],
    second: npt.NDArray[Any],
    groups: Sequence[object],
    *,
    statistic: Callable[[npt.NDArray[Any], Weights], npt.NDArray[np.float64]] = weighted_mean,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """Difference between two models judged on the same images, resampled together by patient.

    Args:
        first: one row per image: a value, or what ``statistic`` needs of it.
        second: the same for the other model, same order.
        groups: for each image, its patient.
        statistic: (rows, weights (resamples, images)) -> (resamples,). The default is the mean; for an
            AUC give ``lambda score, w: auc(truth, score, w)``.

    Raises:
        ValueError: the three have different lengths, or the difference is undefined.
    """
    if not len(first) == len(second) == len(groups):
        raise ValueError(
            f"the same images are required for both models; got {len(first)}, {len(second)} values "
            f"and {len(groups)} groups; evaluate both on one split"
        )
    bootstrap = Bootstrap(groups, resamples=resamples, seed=seed)
    interval = bootstrap.interval(lambda w: statistic(first, w) - statistic(second, w))
    if interval is None:
        raise ValueError(
            "a difference needs a measure that is defined for both models; it is undefined on these images; "
            "evaluate on images with lesions of both classes"
        )
    return PairedDifference(interval["mean"], *interval["ci95"])
