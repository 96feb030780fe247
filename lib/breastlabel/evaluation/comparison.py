"""Two checkpoints on the same images: figures side by side, and their paired differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.errors import StudiesError
from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.bootstrap import paired_bootstrap
from breastlabel.evaluation.collect import collect
from breastlabel.evaluation.evaluate import labelled_images
from breastlabel.evaluation.measures import compute_metrics
from breastlabel.evaluation.table import EvaluationTable
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["compare_checkpoints", "comparison_markdown"]

Progress = Callable[[str, int], None]

# (name in the table, section and key in metrics.json)
_MEASURES = (
    ("Dice", "segmentation", "dice"),
    ("IoU", "segmentation", "iou"),
    ("lesion sensitivity", "segmentation", "lesion_sensitivity"),
    ("HD95", "segmentation", "hd95"),
    ("accuracy", "classification", "accuracy"),
    ("sensitivity", "classification", "sensitivity"),
    ("specificity", "classification", "specificity"),
    ("AUC malignant", "classification", "auc_malignant"),
    ("AUC lesion", "classification", "auc_lesion"),
    ("ECE", "classification", "ece"),
)


def compare_checkpoints(
    first: Path,
    second: Path,
    studies: Sequence[Path],
    *,
    split: str = "test",
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure two checkpoints on a split of each studies folder.

    Args:
        seed: of the bootstrap.
        progress: called with (what, images done).

    Returns:
        ``{"split", "seed", "device", "studies": {name: {"first", "second", "difference"}}}``: the two
        ``metrics.json`` and, for Dice and malignant AUC, first minus second with its 95 % interval by
        paired bootstrap over patients.

    Raises:
        StudiesError: a split has no labelled image.
    """
    from breastlabel.inference import Predictor

    predictors = [Predictor(path, device=device) for path in (first, second)]
    result: dict[str, Any] = {
        "split": split,
        "seed": seed,
        "device": str(predictors[0].device),
        "studies": {},
    }
    for folder in studies:
        tables = []
        for predictor in predictors:

            def count(done: int, folder: Path = folder) -> None:
                if progress is not None:
                    progress(folder.name, done)

            images = labelled_images(folder, split, model=predictor.checkpoint.spec["model"])
            tables.append(collect(predictor, images, explain=False, pictures=False, progress=count))
        if not len(tables[0]):
            raise StudiesError(
                f"labelled images in split '{split}' are required; '{folder.name}' has none; import it again"
            )
        metrics = [
            compute_metrics(
                table,
                model=predictor.checkpoint.spec["model"],
                checkpoint=predictor.version,
                studies=folder.name,
                split=split,
                device=result["device"],
                seed=seed,
            )
            for table, predictor in zip(tables, predictors, strict=True)
        ]
        result["studies"][folder.name] = {
            "first": metrics[0],
            "second": metrics[1],
            "difference": _differences(tables[0], tables[1], seed=seed),
        }
    return result


def comparison_markdown(comparison: dict[str, Any], *, first: str, second: str) -> str:
    """The comparison as one Markdown table a studies folder.

    Args:
        first, second: what the two models are called.
    """
    parts = []
    for name, entry in comparison["studies"].items():
        metrics = entry["first"]
        lines = [
            f"**{name}**, {comparison['split']} split: {metrics['n_images']} images of "
            f"{metrics['n_patients']} patients or groups.",
            "",
            f"| measure | {first} | {second} |",
            "| --- | --- | --- |",
        ]
        unit = metrics["segmentation"]["distance_unit"]
        for name_of_measure, section, key in _MEASURES:
            title = f"{name_of_measure} ({unit})" if key == "hd95" else name_of_measure
            values = [_text(entry[which][section][key]) for which in ("first", "second")]
            lines.append(f"| {title} | {values[0]} | {values[1]} |")
        lines.append("")
        for title, value in entry["difference"].items():
            low, high = value["ci95"]
            lines.append(
                f"{first} minus {second}, {title}: {value['mean']:+.3f} ({low:+.3f} to {high:+.3f})."
            )
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _differences(first: EvaluationTable, second: EvaluationTable, *, seed: int) -> dict[str, Any]:
    lesion = first.has_lesion
    groups = np.asarray(first.groups)
    dice = paired_bootstrap(
        first.lesion_dice[lesion], second.lesion_dice[lesion], groups[lesion].tolist(), seed=seed
    )
    malignant = first.labels == LesionClass.MALIGNANT
    auc = paired_bootstrap(
        first.probabilities[:, LesionClass.MALIGNANT],
        second.probabilities[:, LesionClass.MALIGNANT],
        first.groups,
        statistic=lambda score, weights: cls.auc(malignant, score, weights),
        seed=seed,
    )
    return {
        "Dice": {"mean": dice.mean, "ci95": [dice.low, dice.high]},
        "AUC malignant": {"mean": auc.mean, "ci95": [auc.low, auc.high]},
    }


def _text(value: dict[str, Any] | None) -> str:
    if value is None:
        return "undefined"
    return f"{value['mean']:.3f} ({value['ci95'][0]:.3f} to {value['ci95'][1]:.3f})"
