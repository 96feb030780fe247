"""Learning curves as numbers: intervals over seeds, areas, and labels saved at equal performance.

Axes: S seeds, R + 1 rounds. Everything is paired by seed: strategies of one seed share the labels of round 0
and the starting weights, so their differences vary less than they do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

__all__ = [
    "Comparison",
    "Saving",
    "SeedInterval",
    "area_under_curve",
    "compare",
    "first_reached",
    "holm",
    "labels_saved",
    "seed_interval",
]

Doubles = npt.NDArray[np.float64]

_RESAMPLES = 2000
_ENUMERATED_SEEDS = 5


class SeedInterval(TypedDict):
    """Mean over seeds and its 95 % interval; the interval is None with one seed."""

    mean: float
    ci95: list[float] | None


class Comparison(TypedDict):
    """A strategy less random, paired by seed.

    ``p`` is that of the two-sided paired t-test, None with one seed.
    """

    mean: float
    ci95: list[float] | None
    p: float | None


class Saving(TypedDict):
    """Labels that a strategy saves where it does as well as random with all its labels.

    ``labels`` is negative where it needs more, and None, as are ends of the interval, where it does not get
    there with the labels that were replayed. There is no interval with one seed.
    """

    target: float
    random_labels: float
    labels: float | None
    ci95: list[float | None] | None


def seed_interval(values: Sequence[float] | Doubles) -> SeedInterval:
    """Student's t interval of the mean over seeds: (S,)."""
    from scipy import stats

    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return {"mean": mean, "ci95": None}
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return {"mean": mean, "ci95": [mean - half, mean + half]}


def area_under_curve(n_labels: Sequence[int], values: Doubles) -> Doubles:
    """Mean height of each seed's curve by the trapezoid rule: (S, R + 1) -> (S,), in the measure's units."""
    from scipy.integrate import trapezoid

    n = np.asarray(n_labels, dtype=np.float64)
    v = np.asarray(values, dtype=np.float64)
    if len(n) < 2:
        return v[:, 0]
    return np.asarray(trapezoid(v, n, axis=1) / (n[-1] - n[0]))


def compare(strategy: Doubles, random: Doubles) -> Comparison:
    """Paired difference of two figures of each seed: (S,) and (S,)."""
    from scipy import stats

    difference = np.asarray(strategy, dtype=np.float64) - np.asarray(random, dtype=np.float64)
    interval = seed_interval(difference)
    if len(difference) < 2:
        return {**interval, "p": None}
    if np.ptp(difference) == 0.0:
        # Without any spread the test divides by zero: surely different, or not at all.
        return {**interval, "p": 1.0 if difference[0] == 0.0 else 0.0}
    return {**interval, "p": float(stats.ttest_1samp(difference, 0.0).pvalue)}


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted for their number (Holm, Scandinavian Journal of Statistics 6, 1979); None stays."""
    known = [(p, i) for i, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted


def first_reached(n_labels: Sequence[int], curve: Doubles, target: float) -> float | None:
    """Labels at which a curve first reaches a height, by straight lines between rounds; None if never.

    A single lucky round would count as reaching it, so the curve, (R + 1,), is first made monotone by
    isotonic regression: more labels are taken not to hurt.
    """
    height = _monotone(curve)
    reached = np.flatnonzero(height >= target - 1e-12)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(n_labels[0])
    share = (target - height[i - 1]) / (height[i] - height[i - 1])
    return float(n_labels[i - 1] + min(share, 1.0) * (n_labels[i] - n_labels[i - 1]))


def labels_saved(n_labels: Sequence[int], strategy: Doubles, random: Doubles, *, seed: int = 0) -> Saving:
    """How many labels fewer a strategy needs for what random reaches with its last label.

    Both curves are means over seeds, (S, R + 1) each. The interval is a percentile bootstrap over seeds, of
    strategy and random together; up to five seeds, over all resamples that there are.
    """
    s, r = np.asarray(strategy, dtype=np.float64), np.asarray(random, dtype=np.float64)
    target, needed, saved = _saved(n_labels, s.mean(axis=0), r.mean(axis=0))
    n = len(s)
    if n < 2:
        return {"target": target, "random_labels": needed, "labels": saved, "ci95": None}
    if n <= _ENUMERATED_SEEDS:
        draws = np.array(list(itertools.product(range(n), repeat=n)))
    else:
        draws = np.random.default_rng(seed).integers(n, size=(_RESAMPLES, n))
    resampled = [_saved(n_labels, s[rows].mean(axis=0), r[rows].mean(axis=0))[2] for rows in draws]
    # Never reaching the height is the worst that can happen.
    ordered = np.sort([-np.inf if value is None else value for value in resampled])
    # Outwards to a resample that was drawn: between minus infinity and a number there is nothing.
    last = len(ordered) - 1
    ends = (ordered[math.floor(0.025 * last)], ordered[math.ceil(0.975 * last)])
    return {
        "target": target,
        "random_labels": needed,
        "labels": saved,
        "ci95": [float(end) if np.isfinite(end) else None for end in ends],
    }


def _saved(n_labels: Sequence[int], strategy: Doubles, random: Doubles) -> tuple[float, float, float | None]:
    target = float(_monotone(random)[-1])
    needed = first_reached(n_labels, random, target)
    assert needed is not None, "a curve reaches its own end"
    reached = first_reached(n_labels, strategy, target)
    return target, needed, None if reached is None else needed - reached


def _monotone(curve: Doubles) -> Doubles:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(np.asarray(curve, dtype=np.float64)).x)
