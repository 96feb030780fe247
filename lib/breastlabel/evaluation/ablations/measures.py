"""The figures of every row, mean over seeds, with intervals over patients, and their change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.ablations.answers import Answers
from breastlabel.evaluation.ablations.row import Row
from breastlabel.evaluation.bootstrap import Bootstrap, Statistic, Weights, weighted_mean
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["MEASURES", "measured_rows"]

Values = npt.NDArray[np.float64]

MEASURES: Mapping[str, tuple[str, str]] = {
    "accuracy": ("Accuracy", "malignant or not"),
    "classes": ("Accuracy, 3 classes", "normal, benign or malignant"),
    "error_rate": ("Error rate", "1 − accuracy"),
    "precision": ("Precision", "TP / (TP + FP)"),
    "recall": ("Recall", "TP / (TP + FN)"),
    "sensitivity": ("Sensitivity", "TP / (TP + FN)"),
    "sensitivity_as_printed": ("Sensitivity as printed", "TP / (TP + TN)"),
    "specificity": ("Specificity", "TN / (TN + FP)"),
    "f1": ("F1", "of the decision malignant"),
    "pf1": ("Probabilistic F1", "of the probability of malignant"),
    "auc_malignant": ("AUC malignant", "malignant against all the rest"),
    "auc_lesion": ("AUC lesion", "any lesion against normal"),
    "auc_invasive": ("AUC invasive", "invasive against in situ, of the malignant where known"),
    "dice": ("Dice", "images with a lesion, prepared size"),
}
"""(title, meaning) of each."""


def measured_rows(
    rows: Sequence[Row],
    answers: Mapping[str, Sequence[Answers]],
    seeds: Sequence[int],
    measures: Sequence[str],
    *,
    resamples: int = 1000,
) -> list[dict[str, Any]]:
    """One entry a row.

    An interval is a percentile bootstrap over patients of the mean over seeds. Two rows that are compared are
    measured on the same patients, who are drawn together, whether their images are judged one by one or
    as breasts; so the change is paired.

    Args:
        answers: by the row's name, one for each seed.

    Returns:
        ``name``, ``group``, ``versus``, ``paper``, ``n_cases``, ``n_patients``, ``n_malignant``,
        ``n_outlined``, ``nothing_called`` (the accuracy of calling nothing malignant), ``values`` and
        ``change``: by measure ``{"mean", "ci95"}`` or None, ``values`` with ``by_seed`` and ``seed_sd``.
    """
    measured = []
    for row in rows:
        of_row = answers[row.name]
        labels = of_row[0].labels
        known = labels[labels >= 0]
        bootstrap = _patients(of_row[0], resamples)
        entry: dict[str, Any] = {
            "name": row.name,
            "group": row.group,
            "versus": row.versus,
            "paper": dict(row.paper),
            "n_cases": len(known),
            "n_patients": bootstrap.n_groups,
            "n_malignant": int((known == LesionClass.MALIGNANT).sum()),
            "n_outlined": len(of_row[0].dice),
            "nothing_called": float((known != LesionClass.MALIGNANT).mean()) if len(known) else None,
            "values": {name: _value(bootstrap, of_row, seeds, name) for name in measures},
            "change": None,
        }
        if row.versus is not None:
            before = answers[row.versus]
            if not np.array_equal(np.unique(before[0].groups), np.unique(of_row[0].groups)):
                raise ValueError(f"rows that are compared must have one test; '{row.name}' has another")
            entry["change"] = {
                name: bootstrap.interval(_difference(_mean(of_row, name), _mean(before, name)))
                for name in measures
            }
        measured.append(entry)
    return measured


def _patients(answers: Answers, resamples: int) -> Bootstrap:
    """Of patients, each once: a row's weights are those of the patients of its cases."""
    return Bootstrap(np.unique(answers.groups).tolist(), resamples=resamples)


def _value(
    bootstrap: Bootstrap, answers: Sequence[Answers], seeds: Sequence[int], name: str
) -> dict[str, Any] | None:
    interval = bootstrap.interval(_mean(answers, name))
    everyone = np.ones((1, bootstrap.n_images))
    singles = [float(_statistic(each, name)(everyone)[0]) for each in answers]
    if interval is None:
        return None
    return {
        **interval,
        "by_seed": {str(seed): value for seed, value in zip(seeds, singles, strict=True)},
        "seed_sd": float(np.std(singles, ddof=1)) if len(singles) > 1 else None,
    }


def _mean(answers: Sequence[Answers], name: str) -> Statistic:
    statistics = [_statistic(each, name) for each in answers]
    return lambda w: np.mean([statistic(w) for statistic in statistics], axis=0)


def _difference(now: Statistic, before: Statistic) -> Statistic:
    return lambda w: now(w) - before(w)


def _statistic(answers: Answers, name: str) -> Statistic:
    """A measure as a function of the patients' weights (resamples, patients)."""
    patients = np.unique(answers.groups)
    if name == "dice":
        of_image = np.searchsorted(patients, answers.dice_groups)
        return lambda w: weighted_mean(answers.dice, w[:, of_image])
    if name == "auc_invasive":
        told = answers.invasive >= 0
        patient, scores = np.searchsorted(patients, answers.groups[told]), answers.invasive_scores[told]
        if not np.isfinite(scores).all():
            return lambda w: np.full(len(w), np.nan)
        return lambda w: cls.auc(answers.invasive[told] == 1, scores, w[:, patient])
    known = answers.labels >= 0
    of_case = np.searchsorted(patients, answers.groups[known])
    labels, probabilities = answers.labels[known], answers.probabilities[known]
    measure = _OF_CASES[name]
    return lambda w: measure(labels, probabilities, w[:, of_case])


def _called(measure: Callable[..., Values]) -> Callable[[Any, Any, Weights], Values]:
    """A measure of the decision malignant: where that is the most probable class."""

    def measured(labels: Any, probabilities: Any, weights: Weights) -> Values:
        malignant = labels == LesionClass.MALIGNANT
        called = probabilities.argmax(1) == LesionClass.MALIGNANT
        return measure(malignant, called, weights)

    return measured


def _as_printed(truth: Any, called: Any, weights: Weights) -> Values:
    """P2's equation 3."""
    hits = weights @ (truth & called).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / (weights @ (truth == called).astype(np.float64)), dtype=np.float64)


_OF_CASES: Mapping[str, Callable[[Any, Any, Weights], Values]] = {
    "accuracy": _called(cls.accuracy),
    "classes": lambda labels, p, w: cls.accuracy(labels, p.argmax(1), w),
    "error_rate": _called(lambda truth, called, w: 1 - cls.accuracy(truth, called, w)),
    "precision": _called(cls.precision),
    "recall": _called(cls.sensitivity),
    "sensitivity": _called(cls.sensitivity),
    "sensitivity_as_printed": _called(_as_printed),
    "specificity": _called(cls.specificity),
    "f1": _called(cls.f1),
    "pf1": lambda labels, p, w: cls.probabilistic_f1(
        labels == LesionClass.MALIGNANT, p[:, LesionClass.MALIGNANT], w
    ),
    "auc_malignant": lambda labels, p, w: cls.auc(
        labels == LesionClass.MALIGNANT, p[:, LesionClass.MALIGNANT], w
    ),
    "auc_lesion": lambda labels, p, w: cls.auc(labels != LesionClass.NORMAL, 1 - p[:, LesionClass.NORMAL], w),
}
