"""``report.html`` of an ablation: the table beside the paper's figures, and what it can and cannot show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.evaluation.report import RESEARCH_USE, render
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["what_it_shows", "write_report"]

_FEW_PATIENTS = 50


def write_report(path: Path, result: Mapping[str, Any]) -> Path:
    """Write the report of the content of ``ablation.json``."""
    html = render(
        "ablations.html.j2",
        research_use=RESEARCH_USE,
        result=result,
        facts={
            "Studies": ", ".join(
                f"{letter} {name}" if len(result["studies"]) > 1 else name
                for letter, name in zip("ABCDEFGHIJ", result["studies"], strict=False)
            ),
            "Datasets": ", ".join(result["datasets"]),
            "Preset": result["preset"],
            "Seeds": ", ".join(map(str, result["seeds"])),
            "Epochs at most": result["epochs"],
            "Image size": " × ".join(map(str, result["size"])),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, html.encode())
    return path


def what_it_shows(result: Mapping[str, Any], headline: str) -> str:
    """One honest sentence: the headline row beside the paper's figures, and what the data can show.

    Args:
        headline: the row's name or a part of it; of several rows, the first that the paper has.
    """
    # Those that the sentence is about first; of them and of the others one that the paper has.
    rows = sorted(result["rows"], key=lambda row: headline not in row["name"])
    row = next((row for row in rows if row["paper"]), rows[0])
    titles = {measure["name"]: measure["title"] for measure in result["measures"]}
    figures = []
    for name, printed in row["paper"].items():
        value = row["values"].get(name)
        if value is not None:
            low, high = value["ci95"]
            figures.append(
                f"{titles[name]} {value['mean']:.3f} ({low:.3f} to {high:.3f}) where the paper prints "
                f"{printed:.3f}"
            )
    beside = f"“{row['name']}” reaches {', '.join(figures)}" if figures else "the paper prints no such row"
    return (
        f"On {row['n_cases']} cases of {row['n_patients']} patients, {row['n_malignant']} of them malignant, "
        f"{beside}; {_limits(result, row)}; so the rows of this table can be compared with each other as far "
        "as the intervals of their differences allow, and none of them with the paper, which measured on "
        "other data, once, without intervals."
    )


def _limits(result: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    limits = []
    phantoms = [name for name in result["datasets"] if "phantom" in name.lower()]
    if phantoms and len(phantoms) == len(result["datasets"]):
        limits.append("these are phantoms, which show whether a part works and nothing about patients")
    elif phantoms:
        limits.append("some of these are phantoms, which are easier than patients")
    if row["n_patients"] < 2:
        limits.append("one patient gives no interval at all")
    elif row["n_patients"] < _FEW_PATIENTS:
        limits.append(f"{row['n_patients']} patients are few, and most differences stay hidden among them")
    if len(result["seeds"]) < 3:
        limits.append("fewer than three seeds do not show how much of a difference is chance of training")
    return ", ".join(limits) or "patients and near-duplicates are on one side of the split"
