"""The same measures for parts of the images: where is the model worse than its mean?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.bootstrap import Bootstrap, weighted_mean
from breastlabel.evaluation.table import EvaluationTable
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["subgroup_measures", "subgroups", "tertiles"]

Members = npt.NDArray[np.bool_]

_AGES = (40, 50, 60, 70)
_SIZES_MM = (10, 20)


def subgroup_measures(
    table: EvaluationTable, bootstrap: Bootstrap, judged_bootstrap: Bootstrap | None = None
) -> dict[str, Any]:
    """``{dimension: {name: {"n", "dice", "auc_malignant"}}}``; a dimension nothing is known of is empty.

    ``dice`` is over the part's images with a lesion, ``auc_malignant`` over its images with a class, or over
    the breasts that it shows where breasts were judged; both are None where undefined.

    Args:
        judged_bootstrap: of ``table.judged``, where that is not the images.
    """
    return {
        dimension: {
            name: _measure(table, bootstrap, judged_bootstrap or bootstrap, members)
            for name, members in parts.items()
        }
        for dimension, parts in subgroups(table).items()
    }


def subgroups(table: EvaluationTable) -> Mapping[str, Mapping[str, Members]]:
    """Membership (images,) of every part.

    Lesion size: the diameter of the circle with the outlined area, at 10 and 20 mm (the limits of T1b and
    T1c in the TNM classification), where every image knows its spacing; else thirds of the lesion's share
    of the image. Contrast: thirds. Age: decades.
    """
    known_mm = table.distance_unit == "mm"
    return {
        "lesion_size": _fixed(table.numbers("diameter_mm"), _SIZES_MM, "mm")
        if known_mm
        else tertiles(np.where(table.has_lesion, 100 * table.numbers("area_fraction"), np.nan), "% of image"),
        "lesion_contrast": tertiles(100 * table.numbers("contrast"), "% of grey range"),
        "density": _named(table.names("density")),
        "age": _fixed(table.numbers("age"), _AGES, "years"),
        "view": _named(table.names("view")),
        "machine": _named(table.names("machine")),
        "type": _named(table.names("type")),
        "dataset": _named(table.names("dataset")),
    }


def tertiles(values: npt.NDArray[np.float64], unit: str) -> dict[str, Members]:
    """Three equally large parts of the images whose value is known; empty with fewer than three values."""
    known = values[np.isfinite(values)]
    if len(np.unique(known)) < 3:
        return {}
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    return {
        f"low: below {low:.3g} {unit}": values < low,
        f"middle: {low:.3g} to {high:.3g} {unit}": (values >= low) & (values < high),
        f"high: {high:.3g} {unit} or more": values >= high,
    }


def _fixed(values: npt.NDArray[np.float64], limits: tuple[int, ...], unit: str) -> dict[str, Members]:
    parts = {f"below {limits[0]} {unit}": values < limits[0]}
    for low, high in pairwise(limits):
        parts[f"{low} to {high} {unit}"] = (values >= low) & (values < high)
    parts[f"{limits[-1]} {unit} or more"] = values >= limits[-1]
    return {name: members for name, members in parts.items() if members.any()}


def _named(names: list[str | None]) -> dict[str, Members]:
    column = np.array([name or "" for name in names], dtype=object)
    return {name: np.asarray(column == name, dtype=bool) for name in sorted(set(column)) if name}


def _measure(
    table: EvaluationTable, bootstrap: Bootstrap, judged_bootstrap: Bootstrap, members: Members
) -> dict[str, Any]:
    dice = np.where(members, table.lesion_dice, np.nan)
    judged = table.judged
    known = table.judged_members(members) & (judged.labels >= 0)
    malignant = judged.labels[known] == LesionClass.MALIGNANT
    score = judged.probabilities[known, LesionClass.MALIGNANT]
    return {
        "n": int(members.sum()),
        "dice": bootstrap.interval(lambda w: weighted_mean(dice, w)),
        "auc_malignant": judged_bootstrap.interval(lambda w: cls.auc(malignant, score, w[:, known])),
    }
