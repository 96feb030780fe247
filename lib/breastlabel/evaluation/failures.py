"""What went wrong with an image, as far as it can be told, by stated rules.

"Low contrast", "small" and "diffuse border" compare a lesion with the other lesions of the same
evaluation: the lowest fifth of contrast, outlined share of the image and border sharpness
(`appearance`). Overlapping tissue and calcification cannot be told from an image and its outline: an error is
named so only where the density of the breast or the lesion's type is known, as on mammograms.
"""

from __future__ import annotations

import numpy as np

from breastlabel.evaluation.table import Case, EvaluationTable
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["ERROR_RULES", "error_kinds"]

POOR_DICE = 0.5

ERROR_RULES: dict[str, str] = {
    "normal tissue": "an image without lesion was painted, or a painted region hits no outlined lesion",
    "missed lesion": "an outlined lesion was hit by no painted region (IoU at least 0.2)",
    "poor outline": "every lesion was hit, but Dice is below 0.5",
    "small": "missed or poorly outlined, and in the lowest fifth of lesion sizes",
    "low contrast": "missed or poorly outlined, and in the lowest fifth of lesion contrasts",
    "diffuse border": "missed or poorly outlined, and in the lowest fifth of border sharpness",
    "overlap": "missed or poorly outlined, in a breast of density C or D",
    "benign calcification": "a benign calcification taken for malignant",
    "malignant taken for benign": "the reader says malignant, the model benign",
    "malignant taken for normal": "the reader says malignant, the model normal",
    "benign taken for malignant": "the reader says benign, the model malignant",
    "benign taken for normal": "the reader says benign, the model normal",
    "normal taken for benign": "the reader says normal, the model benign",
    "normal taken for malignant": "the reader says normal, the model malignant",
}

# Kind of error to the column whose lowest fifth it is.
_LOWEST = {"small": "area_fraction", "low contrast": "contrast", "diffuse border": "border"}


def error_kinds(table: EvaluationTable) -> list[list[str]]:
    """For each image the names of its errors, in the order of `ERROR_RULES`; empty where it has none."""
    limits = {name: _lowest_fifth(table, column) for name, column in _LOWEST.items()}
    return [_kinds(case, limits) for case in table.cases]


def _kinds(case: Case, limits: dict[str, float]) -> list[str]:
    found: set[str] = set()
    if case.match is not None:
        missed = not all(case.match.hits)
        poor = case.reader_area > 0 and not missed and case.dice < POOR_DICE
        if case.model_area > 0 and _paints_normal_tissue(case):
            found.add("normal tissue")
        if missed:
            found.add("missed lesion")
        if poor:
            found.add("poor outline")
        if missed or poor:
            found |= {name for name, column in _LOWEST.items() if getattr(case, column) <= limits[name]}
            found |= {"overlap"} if case.density in ("C", "D") else set()
    if case.label is not None and case.label != case.predicted:
        wrongly_malignant = (case.label, case.predicted) == (LesionClass.BENIGN, LesionClass.MALIGNANT)
        if wrongly_malignant and "calcification" in (case.type or "").lower():
            found.add("benign calcification")
        found.add(f"{LesionClass(case.label).label} taken for {LesionClass(case.predicted).label}")
    return [name for name in ERROR_RULES if name in found]


def _paints_normal_tissue(case: Case) -> bool:
    if case.reader_area == 0:
        return True
    return case.match is not None and -1 in case.match.lesions[: case.match.n_painted]


def _lowest_fifth(table: EvaluationTable, column: str) -> float:
    values = table.numbers(column)[table.has_lesion]
    values = values[np.isfinite(values)]
    return float(np.quantile(values, 0.2)) if len(values) >= 5 else float("-inf")
