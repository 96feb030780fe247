"""``report.html``: one file that opens anywhere, offline, and prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.evaluation.breast_sections import breast_sections
from breastlabel.evaluation.failures import ERROR_RULES, error_kinds
from breastlabel.evaluation.figures import case_picture, learning_curves, table_figures
from breastlabel.evaluation.filling import template_environment
from breastlabel.evaluation.table import Case, EvaluationTable
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["render", "write_report"]

CASES_SHOWN = 8

RESEARCH_USE = (
    "For research use only. breastlabel is not a medical device; nothing here is meant for the diagnosis "
    "or treatment of a patient."
)

_SUBGROUP_TITLES = {
    "lesion_size": "Lesion size",
    "lesion_contrast": "Lesion contrast",
    "density": "Breast density",
    "age": "Age",
    "view": "View",
    "machine": "Machine",
    "type": "Histology or type",
    "dataset": "Dataset",
}


def write_report(
    path: Path,
    metrics: Mapping[str, Any],
    table: EvaluationTable,
    *,
    facts: Mapping[str, Any] | None = None,
    explanation: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """Write the report of one evaluation.

    Args:
        metrics: of `compute_metrics`.
        facts: what else belongs at the top: seed, excluded images, ...
        explanation: of `explanation_measure`.
        history: the training's epochs, where the checkpoint has them.
    """
    kinds = error_kinds(table)
    curves = learning_curves(history) if history else None
    figures = {**table_figures(table), **({"Learning curves of the checkpoint": curves} if curves else {})}
    html = render(
        "report.html.j2",
        research_use=RESEARCH_USE,
        metrics=metrics,
        facts={
            "Model": metrics["model"],
            "Checkpoint": metrics["checkpoint"],
            "Studies": metrics["studies"],
            "Split": metrics["split"],
            "Images": metrics["n_images"],
            **({"Breasts": metrics["n_breasts"]} if "n_breasts" in metrics else {}),
            "Patients or groups": metrics["n_patients"],
            **(facts or {}),
        },
        headlines=_headlines(metrics, table),
        measures=_measures(metrics, table, explanation),
        figures=figures,
        subgroups=[(_SUBGROUP_TITLES.get(k, k), v) for k, v in metrics["subgroups"].items() if v],
        unknown=[_SUBGROUP_TITLES.get(k, k).lower() for k, v in metrics["subgroups"].items() if not v],
        errors=_errors(table, kinds),
        cases=_cases(table, kinds),
        timing={k: v for k, v in metrics["timing"].items() if isinstance(v, dict)},
    )
    write_bytes_atomically(path, html.encode())
    return path


def render(template: str, **values: Any) -> str:
    """Fill one of the package's templates; everything in ``values`` is escaped."""
    return template_environment("breastlabel.evaluation").get_template(template).render(**values)


def _headlines(metrics: Mapping[str, Any], table: EvaluationTable) -> list[tuple[str, Any, str]]:
    segmentation, classification = metrics["segmentation"], metrics["classification"]
    lesions = f"{int(np.isfinite(table.lesion_dice).sum())} images with a lesion"
    units = "breasts" if table.breasts is not None else "images"
    classed = f"{int((table.judged.labels >= 0).sum())} {units} with a class"
    return [
        ("Dice", segmentation["dice"], lesions),
        ("AUC, malignant against the rest", classification["auc_malignant"], classed),
        ("AUC, lesion against normal", classification["auc_lesion"], classed),
        ("Accuracy, three classes", classification["accuracy"], classed),
    ]


def _measures(
    metrics: Mapping[str, Any], table: EvaluationTable, explanation: Mapping[str, Any] | None
) -> list[tuple[str, list[tuple[str, Any, str, int]]]]:
    """(section, [(measure, interval, meaning, n)])."""
    seg, cls = metrics["segmentation"], metrics["classification"]
    unit, judged = seg["distance_unit"], table.judged
    n = {
        "dice": int(np.isfinite(table.lesion_dice).sum()),
        "distance": int(np.isfinite(table.numbers(f"hd95_{unit}")).sum()),
        "lesions": sum(len(match.hits) for match in table.matches),
        "classed": int((judged.labels >= 0).sum()),
        "malignant": int((judged.labels == LesionClass.MALIGNANT).sum()),
        "called": int((judged.predicted[judged.labels >= 0] == LesionClass.MALIGNANT).sum()),
    }
    sections = [
        (
            "Outlines",
            [
                ("Dice", seg["dice"], "mean over images with a lesion; a missed lesion is 0", n["dice"]),
                ("IoU", seg["iou"], "the same images", n["dice"]),
                (f"HD95 ({unit})", seg["hd95"], "images where both outlined something", n["distance"]),
                (f"ASSD ({unit})", seg["assd"], "the same images", n["distance"]),
                (
                    "Lesion sensitivity",
                    seg["lesion_sensitivity"],
                    "lesions hit by a painted region with IoU of at least 0.2",
                    n["lesions"],
                ),
            ],
        ),
        (
            "Classes",
            [
                ("Accuracy", cls["accuracy"], "normal, benign or malignant", n["classed"]),
                ("Error rate", cls["error_rate"], "1 − accuracy", n["classed"]),
                ("AUC malignant", cls["auc_malignant"], "malignant against all the rest", n["classed"]),
                ("AUC lesion", cls["auc_lesion"], "any lesion against normal", n["classed"]),
                *(
                    (f"AUC {name}", value, "this class against the others", n["classed"])
                    for name, value in cls["auc_per_class"].items()
                    if name != "malignant"
                ),
                ("Sensitivity", cls["sensitivity"], "malignant images called malignant", n["malignant"]),
                (
                    "Specificity",
                    cls["specificity"],
                    "other images not called malignant",
                    n["classed"] - n["malignant"],
                ),
                ("Precision", cls["precision"], "images called malignant that are", n["called"]),
                ("F1", cls["f1"], "of the decision malignant", n["classed"]),
                ("Probabilistic F1", cls["pf1"], "of the probability of malignant (RSNA)", n["classed"]),
                ("Calibration error", cls["ece"], "ECE of the most probable class, 15 bins", n["classed"]),
            ],
        ),
    ]
    if explanation is not None and explanation["n"]:
        peak = explanation["peak_in_lesion"]
        meaning = "images whose heat map (Grad-CAM) peaks inside the reader's outline"
        sections.append(("Explanation", [("Peak in the lesion", peak, meaning, explanation["n"])]))
    return sections + breast_sections(metrics)


def _errors(table: EvaluationTable, kinds: list[list[str]]) -> list[tuple[str, str, list[str]]]:
    """(kind, rule, image ids)."""
    return [
        (name, rule, [c.image_id for c, found in zip(table.cases, kinds, strict=True) if name in found])
        for name, rule in ERROR_RULES.items()
    ]


def _cases(table: EvaluationTable, kinds: list[list[str]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(title, how they were chosen, cards); pictures are drawn for the chosen ones only."""
    paired = list(zip(table.cases, kinds, strict=True))
    pictured = [(case, kind) for case, kind in paired if case.picture is not None]
    lesions = sorted((p for p in pictured if p[0].reader_area > 0), key=lambda p: p[0].dice)
    # The same image is not shown as the worst and as the best of a small set.
    half = min(CASES_SHOWN, (len(lesions) + 1) // 2)
    worst, best = lesions[:half], lesions[half:][::-1][:CASES_SHOWN]
    false_marks = sorted(
        (p for p in pictured if p[0].reader_area == 0 and p[0].model_area > 0), key=lambda p: -p[0].model_area
    )
    wrong = sorted(
        (p for p in pictured if p[0].label is not None and p[0].label != p[0].predicted),
        key=lambda p: -p[0].probabilities[p[0].predicted],
    )
    groups: Iterable[tuple[str, str, list[tuple[Case, list[str]]]]] = (
        ("Worst outlines", "lowest Dice among images with a lesion", worst),
        ("Best outlines", "highest Dice among images with a lesion", best),
        ("Normal images that were painted", "largest painted area", false_marks[:CASES_SHOWN]),
        ("Surest wrong classes", "highest probability of the wrong class", wrong[:CASES_SHOWN]),
    )
    return [(title, how, [_card(*p) for p in chosen]) for title, how, chosen in groups if chosen]


def _card(case: Case, kinds: list[str]) -> dict[str, Any]:
    assert case.picture is not None
    return {
        "picture": case_picture(case.picture),
        "image_id": case.image_id,
        "dice": case.dice if case.reader_area > 0 else None,
        "reader": "class unknown" if case.label is None else LesionClass(case.label).label,
        "model": LesionClass(case.predicted).label,
        "probability": case.probabilities[case.predicted],
        "kinds": kinds,
    }
