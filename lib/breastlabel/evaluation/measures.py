"""From the table of evaluated images to the measures of ``metrics.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.bootstrap import Bootstrap, Interval, Weights, weighted_mean
from breastlabel.evaluation.boxes import box_measures
from breastlabel.evaluation.lesions import FROC_RATES, froc_at, froc_curve
from breastlabel.evaluation.subgroups import subgroup_measures
from breastlabel.evaluation.table import NAN, EvaluationTable
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["compute_metrics", "explanation_measure"]

_LABELS = [c.label for c in LesionClass]


def compute_metrics(
    table: EvaluationTable,
    *,
    model: str,
    checkpoint: str,
    studies: str,
    split: str,
    device: str = "cpu",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """All of ``metrics.json``; a measure that is undefined on these images is None.

    Where breasts were judged, the classes are counted by breast (``analysed`` is "breast", ``n_breasts`` says
    how many), the outlines by image. Of a model that tells invasive cancers from those in situ, ``invasive``
    has the ``auc`` over the malignant breasts of which it is known: ``n``, of them ``n_invasive``.
    Of a model that draws boxes, ``boxes`` has what `box_measures` says.

    Args:
        checkpoint: version of the model.
        studies: the folder's name.
        seed: of the bootstrap.
    """
    bootstrap = Bootstrap(table.groups, resamples=resamples, seed=seed)
    judged, by_breast = table.judged, table.breasts is not None
    judged_bootstrap = Bootstrap(judged.groups, resamples=resamples, seed=seed) if by_breast else bootstrap
    return {
        "model": model,
        "checkpoint": checkpoint,
        "studies": studies,
        "split": split,
        "analysed": "breast" if by_breast else "image",
        "n_images": len(table),
        **({"n_breasts": len(judged)} if by_breast else {}),
        "n_patients": table.n_patients,
        "segmentation": _segmentation(table, bootstrap),
        "classification": _classification(judged, judged_bootstrap),
        **_invasive(judged, judged_bootstrap),
        **_boxes(table, bootstrap),
        "subgroups": subgroup_measures(table, bootstrap, judged_bootstrap),
        "timing": _timing(table, bootstrap, device),
    }


def explanation_measure(table: EvaluationTable, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """How often the heat map's peak lies in the reader's outline (P1): ``{"n", "peak_in_lesion"}``."""
    peaks = table.numbers("peak_in_lesion")
    bootstrap = Bootstrap(table.groups, resamples=resamples, seed=seed)
    return {
        "n": int(np.isfinite(peaks).sum()),
        "peak_in_lesion": bootstrap.interval(lambda w: weighted_mean(peaks, w)),
    }


def _segmentation(table: EvaluationTable, bootstrap: Bootstrap) -> dict[str, Any]:
    unit = table.distance_unit
    columns = {
        "dice": table.lesion_dice,
        "iou": table.lesion_iou,
        "hd95": table.numbers(f"hd95_{unit}"),
        "assd": table.numbers(f"assd_{unit}"),
    }
    means = {
        name: bootstrap.interval(lambda w, values=values: weighted_mean(values, w))  # type: ignore[misc]
        for name, values in columns.items()
    }
    rates = froc_at(froc_curve(table.matches))
    return {
        **means,
        "lesion_sensitivity": _lesion_sensitivity(table, bootstrap),
        "distance_unit": unit,
        "froc": {
            "fp_per_image": list(FROC_RATES),
            "sensitivity": [rate if np.isfinite(rate) else None for rate in rates],
        },
    }


def _lesion_sensitivity(table: EvaluationTable, bootstrap: Bootstrap) -> Interval | None:
    hit = np.array([sum(c.match.hits) if c.match else 0 for c in table.cases], dtype=np.float64)
    lesions = np.array([len(c.match.hits) if c.match else 0 for c in table.cases], dtype=np.float64)

    def share(weights: Weights) -> np.ndarray[Any, np.dtype[np.float64]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ hit) / (weights @ lesions), dtype=np.float64)

    return bootstrap.interval(share)


def _classification(table: EvaluationTable, bootstrap: Bootstrap) -> dict[str, Any]:
    known = table.labels >= 0
    labels, predicted = table.labels[known], table.predicted[known]
    probabilities = table.probabilities[known]
    malignant, called = labels == LesionClass.MALIGNANT, predicted == LesionClass.MALIGNANT
    score = probabilities[:, LesionClass.MALIGNANT]

    def interval(measure: Any, truth: Any, answer: Any) -> Interval | None:
        return bootstrap.interval(lambda w: measure(truth, answer, w[:, known]))

    return {
        "labels": _LABELS,
        "accuracy": interval(cls.accuracy, labels, predicted),
        "error_rate": interval(lambda t, p, w: 1 - cls.accuracy(t, p, w), labels, predicted),
        "sensitivity": interval(cls.sensitivity, malignant, called),
        "specificity": interval(cls.specificity, malignant, called),
        "precision": interval(cls.precision, malignant, called),
        "f1": interval(cls.f1, malignant, called),
        "pf1": interval(cls.probabilistic_f1, malignant, score),
        "auc_malignant": interval(cls.auc, malignant, score),
        "auc_lesion": interval(
            cls.auc, labels != LesionClass.NORMAL, 1 - probabilities[:, LesionClass.NORMAL]
        ),
        "auc_per_class": {c.label: interval(cls.auc, labels == c, probabilities[:, c]) for c in LesionClass},
        "ece": interval(cls.expected_calibration_error, labels, probabilities),
        "confusion_matrix": cls.confusion_matrix(labels, predicted).tolist(),
    }


def _invasive(table: EvaluationTable, bootstrap: Bootstrap) -> dict[str, Any]:
    """Nothing of a model that does not tell."""
    if all(case.invasive_probability is None for case in table.cases):
        return {}
    known = np.array([None not in (c.invasive, c.invasive_probability) for c in table.cases], dtype=bool)
    told = [case for case, there in zip(table.cases, known, strict=True) if there]
    invasive = np.array([case.invasive for case in told], dtype=bool)
    scores = np.array([case.invasive_probability for case in told], dtype=np.float64)
    area = bootstrap.interval(lambda w: cls.auc(invasive, scores, w[:, known]))
    return {"invasive": {"n": len(told), "n_invasive": int(invasive.sum()), "auc": area}}


def _boxes(table: EvaluationTable, bootstrap: Bootstrap) -> dict[str, Any]:
    """Nothing of a model that draws none."""
    matches = [case.box_match for case in table.cases]
    return {} if all(match is None for match in matches) else {"boxes": box_measures(matches, bootstrap)}


def _timing(table: EvaluationTable, bootstrap: Bootstrap, device: str) -> dict[str, Any]:
    stages = list(dict.fromkeys(stage for case in table.cases for stage in case.seconds))
    timing: dict[str, Any] = {"unit": "seconds per image", "device": device}
    for stage in stages:
        seconds = np.array([case.seconds.get(stage, NAN) for case in table.cases], dtype=np.float64)
        timing[stage] = bootstrap.interval(lambda w, s=seconds: weighted_mean(s, w))  # type: ignore[misc]
    return timing
