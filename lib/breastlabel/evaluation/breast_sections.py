"""What the report says of a model of breasts beyond its measures: agreement of views, and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["breast_sections"]

Row = tuple[str, Any, str, int]


def breast_sections(metrics: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """(section, [(measure, interval, meaning, n)]) of what was measured beyond class and outline."""
    sections = []
    if "invasive" in metrics:
        told = metrics["invasive"]
        meaning = f"malignant breasts of which it is known, {told['n_invasive']} of them invasive"
        rows_of_it: list[Row] = [("AUC invasive", told["auc"], meaning, told["n"])]
        sections.append(("Invasive or in situ", rows_of_it))
    if "boxes" in metrics:
        drawn = metrics["boxes"]
        meaning = f"lesions in a box with IoU of at least {drawn['iou']:g}, at one false box an image"
        rows_of_boxes: list[Row] = [("Sensitivity", drawn["sensitivity"], meaning, drawn["n_lesions"])]
        sections.append(("Boxes", rows_of_boxes))
    if "consistency" in metrics:
        found = metrics["consistency"]
        rows = [
            ("Contradicting views", "contradicting", "breasts whose views, each alone, differ in class"),
            (
                "Contradicting about a lesion",
                "contradicting_lesion",
                "breasts in which one view alone shows a lesion and another none",
            ),
            ("Spread of scores", "score_spread", "highest less lowest probability of malignant by one view"),
            ("AUC malignant, one view", "auc_malignant_one_view", "each view of these breasts is a case"),
            ("AUC malignant, together", "auc_malignant_together", "the same breasts, from all their images"),
        ]
        sections.append(("Agreement of the views", _rows(found, rows)))
    if "evidence" in metrics:
        rows = [
            (
                "Fall of the lesion's score",
                "lesion_score_fall",
                "1 - p(normal), less that without the lesion",
            ),
            ("Falling", "falling", "breasts in which it falls when what was outlined is masked out"),
            ("Fall of malignancy", "malignancy_fall", "probability of malignant, in malignant breasts"),
        ]
        sections.append(("Evidence", _rows(metrics["evidence"], rows)))
    return sections


def _rows(found: Mapping[str, Any], rows: list[tuple[str, str, str]]) -> list[Row]:
    return [(title, found[key], meaning, int(found["n_breasts"])) for title, key, meaning in rows]
