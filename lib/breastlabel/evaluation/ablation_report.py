"""The ablation's ``report.html``: the table beside the paper's, and what each feature group adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.evaluation.figures import bar_chart
from breastlabel.evaluation.report import RESEARCH_USE, render
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["compare_with_paper", "write_ablation_report"]


def write_ablation_report(path: Path, result: Mapping[str, Any]) -> Path:
    """Write the report of the content of ``ablation.json``."""
    charts = {}
    for name, title in (("auc_malignant", "AUC, malignant against the rest"), ("dice", "Dice")):
        bars = {row["group"]: row[name] for row in result["influence"] if row[name]}
        if bars:
            charts[title] = bar_chart(
                {group: (bar["mean"], *bar["ci95"]) for group, bar in bars.items()},
                unit="change without the group",
            )
    html = render(
        "ablation.html.j2",
        research_use=RESEARCH_USE,
        result=result,
        facts={
            "Studies": result["studies"],
            "Learned from": f"{result['n_train']} images, epoch chosen on {result['n_val']}",
            "Test images": result["n_images"],
            "With a lesion": result["n_lesions"],
            "Patients or groups": result["n_patients"],
            "Seeds": ", ".join(map(str, result["seeds"])),
            "Epochs at most": result["epochs"],
            "Image size": " × ".join(map(str, result["size"])),
        },
        sentence=compare_with_paper(result),
        charts=charts,
    )
    write_bytes_atomically(path, html.encode())
    return path


def compare_with_paper(result: Mapping[str, Any]) -> str:
    """One honest sentence on the row that the paper prints as its system."""
    row = next((r for r in reversed(result["rows"]) if r["paper"]), None)
    measured = [
        f"{title} {row[name]['mean']:.3f} ({row[name]['ci95'][0]:.3f} to {row[name]['ci95'][1]:.3f}) "
        f"where the paper prints {row['paper'][key]:.3f}"
        for name, key, title in (
            ("accuracy", "accuracy", "accuracy"),
            ("dice", "dice", "Dice"),
            ("auc_malignant", "auc", "malignant AUC"),
        )
        if row is not None and row[name]
    ]
    if row is None or not measured:
        return "None of these rows can be compared with the paper."
    return (
        f"The system of the paper’s last row reaches {', '.join(measured)}; here patients and "
        "near-duplicates are kept on one side of the split, while the paper reports one run on BUSI without "
        "intervals, seeds or such a grouping and does not say which AUC it means, so the order of the rows "
        "can be compared and the figures themselves cannot."
    )
