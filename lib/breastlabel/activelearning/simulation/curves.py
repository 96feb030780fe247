"""What a simulation's results say: the content of ``curves.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.activelearning.simulation.loop import INITIAL, REFERENCE
from breastlabel.activelearning.simulation.plan import Plan
from breastlabel.activelearning.simulation.statistics import (
    area_under_curve,
    compare,
    holm,
    labels_saved,
    seed_interval,
)
from breastlabel.activelearning.simulation.store import Results
from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.bootstrap import Bootstrap, Statistic, weighted_mean
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.training.arrays import TrainingArrays

__all__ = ["BASELINE", "CHOOSES", "MEASURES", "REPORTS", "SCORE", "choose", "summarise", "summarise_split"]

BASELINE = "random"
MEASURES = ("dice", "auc_malignant")
SCORE = "score"
"""The mean of the measures that are defined, as the trainer's ``val_score``: what the choice goes by."""
CHOOSES, REPORTS = "val", "test"
"""The split that chooses the strategy, and the one that then measures it."""

LEVEL = 0.05

Doubles = npt.NDArray[np.float64]
Curves = Mapping[str, Mapping[str, Doubles]]
"""Measure -> strategy -> (seeds, rounds + 1)."""


def summarise(
    results: Results,
    judges: Mapping[str, TrainingArrays],
    *,
    plan: Plan,
    strategies: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Curves, areas, labels saved and the choice, from results that are complete.

    Args:
        judges: the splits on which they were measured.
    """
    n_labels = plan.n_labels()
    by_split = {
        split: summarise_split(n_labels, _curves(results, arrays, split, plan, strategies, seeds), seeds)
        for split, arrays in judges.items()
    }
    return {
        "split": REPORTS,
        "n_labels": n_labels,
        "reference": _reference(results, judges[REPORTS], seeds),
        **by_split[REPORTS],
        "validation": by_split[CHOOSES],
        "chosen": choose(by_split[CHOOSES]["area_under_curve"]),
    }


def summarise_split(n_labels: Sequence[int], curves: Curves, seeds: Sequence[int]) -> dict[str, Any]:
    """``strategies``, ``area_under_curve`` and ``labels_saved`` of one split; a measure that is undefined on
    it is None.

    Args:
        curves: with `SCORE` among the measures; ``random`` among the strategies.
    """
    names = list(next(iter(curves.values())))
    strategies = {
        name: {
            "seeds": list(seeds),
            "n_labels": list(n_labels),
            **{measure: _points(of[name]) for measure, of in curves.items()},
            **{f"{measure}_mean": _means(of[name]) for measure, of in curves.items()},
        }
        for name in names
    }
    areas: dict[str, Any] = {}
    saved: dict[str, Any] = {}
    for measure, of in curves.items():
        if not np.isfinite(of[BASELINE]).all():
            areas[measure] = saved[measure] = None
            continue
        areas[measure] = _areas(n_labels, of)
        saved[measure] = {
            name: labels_saved(n_labels, of[name], of[BASELINE]) for name in names if name != BASELINE
        }
    return {"strategies": strategies, "area_under_curve": areas, "labels_saved": saved}


def choose(areas: Mapping[str, Any]) -> dict[str, Any]:
    """The strategy that the evidence supports; ``random`` unless another is surely better.

    The one with the largest mean area under the curve of the score, if its paired difference from random is
    positive with an adjusted p below 0.05. The rule looks at the split that chooses and at no other.

    Args:
        areas: ``area_under_curve`` of that split.
    """
    of = areas[SCORE]
    better = beats_random(of) if of else []
    strategy = max(better, key=lambda name: of[name]["mean"]) if better else BASELINE
    return {
        "strategy": strategy,
        "split": CHOOSES,
        "beat_random": better,
        "rule": "the largest mean area under the curve of the mean of Dice and malignant AUC among the "
        f"strategies that beat random in it (paired t-test over seeds, Holm's adjusted p < {LEVEL}); "
        "random where none does",
    }


def beats_random(areas: Mapping[str, Any]) -> list[str]:
    """Strategies whose area is larger than random's with an adjusted p below 0.05, largest first."""
    return _surely(areas, sign=1)


def worse_than_random(areas: Mapping[str, Any]) -> list[str]:
    """Strategies whose area is smaller than random's with an adjusted p below 0.05, smallest first."""
    return _surely(areas, sign=-1)


def _surely(areas: Mapping[str, Any], *, sign: int) -> list[str]:
    sure = [
        name
        for name, area in areas.items()
        if (against := area["against_random"]) is not None
        and sign * against["mean"] > 0
        and against["p_holm"] is not None
        and against["p_holm"] < LEVEL
    ]
    return sorted(sure, key=lambda name: -sign * float(areas[name]["mean"]))


def _areas(n_labels: Sequence[int], curves: Mapping[str, Doubles]) -> dict[str, Any]:
    of_seeds = {name: area_under_curve(n_labels, values) for name, values in curves.items()}
    against = {
        name: compare(values, of_seeds[BASELINE]) for name, values in of_seeds.items() if name != BASELINE
    }
    adjusted = dict(zip(against, holm([c["p"] for c in against.values()]), strict=True))
    return {
        name: {
            **seed_interval(values),
            "by_seed": values.tolist(),
            "against_random": {**against[name], "p_holm": adjusted[name]} if name in against else None,
        }
        for name, values in of_seeds.items()
    }


def _curves(
    results: Results,
    arrays: TrainingArrays,
    split: str,
    plan: Plan,
    strategies: Sequence[str],
    seeds: Sequence[int],
) -> Curves:
    """Round 0 is the same for all strategies of a seed."""
    measured: dict[str, dict[str, Doubles]] = {measure: {} for measure in (*MEASURES, SCORE)}
    for name in strategies:
        points = np.full((len(MEASURES), len(seeds), plan.rounds + 1), np.nan)
        for s, seed in enumerate(seeds):
            for number in range(plan.rounds + 1):
                given = results.answers(seed, name if number else INITIAL, number, split)
                points[:, s, number] = [
                    float(statistic(np.ones((1, len(arrays))))[0])
                    for statistic in _statistics(given.dice, given.malignant, arrays).values()
                ]
        for measure, values in zip(MEASURES, points, strict=True):
            measured[measure][name] = values
        # Undefined is undefined in every round: it is the split that lacks lesions, or a class.
        defined = [values for values in points if np.isfinite(values).all()]
        measured[SCORE][name] = np.mean(defined, axis=0) if defined else points[0]
    return measured


def _reference(results: Results, arrays: TrainingArrays, seeds: Sequence[int]) -> dict[str, Any]:
    """Training on every label, as long as a round and longer; intervals over patients of the seeds' mean."""
    bootstrap = Bootstrap([str(group) for group in arrays.groups])

    def interval(number: int, measure: str) -> Any:
        each = []
        for seed in seeds:
            given = results.answers(seed, REFERENCE, number, REPORTS)
            each.append(_statistics(given.dice, given.malignant, arrays)[measure])
        found: Any = bootstrap.interval(lambda w: np.mean([statistic(w) for statistic in each], axis=0))
        one = np.ones((1, len(arrays)))
        return found and {**found, "by_seed": [float(statistic(one)[0]) for statistic in each]}

    return {
        **{measure: interval(0, measure) for measure in MEASURES},
        "longer": {measure: interval(1, measure) for measure in MEASURES},
        "intervals": "95 % percentile bootstrap over patients of the mean over seeds, 1,000 resamples",
    }


def _statistics(dice: Doubles, malignant: Doubles, arrays: TrainingArrays) -> dict[str, Statistic]:
    known = arrays.labels >= 0
    truth = arrays.labels[known] == LesionClass.MALIGNANT
    return {
        "dice": lambda w: weighted_mean(dice, w),
        "auc_malignant": lambda w: cls.auc(truth, malignant[known], w[:, known]),
    }


def _points(values: Doubles) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in values]


def _means(values: Doubles) -> list[Any]:
    return [seed_interval(column) if np.isfinite(column).all() else None for column in values.T]
