"""P4's 2 x 3 x 2 table: direct or cropped, three ways to split, ResNet-18 or the small CNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breastlabel.evaluation.ablations.row import Row, Setting, System

__all__ = ["FUSIONVIEW"]

#: (accuracy, precision, recall, F1) of table 2, by (pipeline, setting, backbone).
_PAPER = {
    ("direct", "seen", "resnet18"): (0.8780, 0.7423, 0.8521, 0.7934),
    ("direct", "seen", "cnn"): (0.8497, 0.7103, 0.7716, 0.7370),
    ("direct", "other", "resnet18"): (0.4146, 0.2236, 0.3935, 0.2852),
    ("direct", "other", "cnn"): (0.4109, 0.2123, 0.4146, 0.2784),
    ("direct", "patients", "resnet18"): (0.7779, 0.9719, 0.7930, 0.8734),
    ("direct", "patients", "cnn"): (0.6152, 0.6052, 0.7201, 0.6577),
    ("cropped", "seen", "resnet18"): (0.8819, 0.7986, 0.7823, 0.7904),
    ("cropped", "seen", "cnn"): (0.8722, 0.7135, 0.8944, 0.7937),
    ("cropped", "other", "resnet18"): (0.6277, 0.8330, 0.5887, 0.6899),
    ("cropped", "other", "cnn"): (0.5972, 0.5591, 0.5745, 0.5666),
    ("cropped", "patients", "resnet18"): (0.7262, 0.7700, 0.7641, 0.7666),
    ("cropped", "patients", "cnn"): (0.6952, 0.6452, 0.7542, 0.6958),
}
_PIPELINES: Mapping[str, Mapping[str, Any]] = {"direct": {"isolate": False}, "cropped": {"isolate": True}}
_LETTERS = "ABCDEFGHIJ"


def _backbones(network: Mapping[str, Any]) -> dict[str, str]:
    """Titles by name; a preset whose joined image is too small for ResNet-18 has blocks of ours."""
    small = min(network.get("joined", (256, 256))) < 128
    return {"blocks" if small else "resnet18": "small CNN, pooled" if small else "ResNet-18", "cnn": "CNN"}


def _settings(studies: int) -> list[tuple[str, Setting]]:
    names, everything = _LETTERS[:studies], tuple(range(studies))
    seen = [(f"{names[i]}, patients seen", Setting("seen", (i,), (i,))) for i in everything]
    other = [
        (f"{names[i]} to {names[j]}", Setting("other", (i,), (j,)))
        for i in everything
        for j in everything
        if i != j
    ]
    pooled = (f"{' + '.join(names)}, new patients", Setting("patients", everything, everything))
    return [*seen, *other, pooled]


def _rows(network: Mapping[str, Any], studies: int) -> list[Row]:
    rows = []
    for title, setting in _settings(studies):
        for backbone, shown in _backbones(network).items():
            for pipeline, preparation in _PIPELINES.items():
                # Of one dataset alone, new patients are no setting of the paper's.
                known = setting.kind != "patients" or studies > 1
                printed = _PAPER.get((pipeline, setting.kind, backbone)) if known else None
                names = ("accuracy", "precision", "recall", "f1")
                rows.append(
                    Row(
                        f"{title}: {shown}, {pipeline}",
                        title,
                        {"backbone": backbone},
                        preparation,
                        setting=setting,
                        versus=f"{title}: {shown}, direct" if pipeline == "cropped" else None,
                        paper=dict(zip(names, printed, strict=True)) if printed else {},
                    )
                )
    return rows


def _left_out(network: Mapping[str, Any], studies: int) -> list[str]:
    out = []
    if studies < 2:
        out.append(
            "The rows that learn from one dataset and are measured on another, and those of both pooled, "
            "need two datasets: give --studies twice."
        )
    if "blocks" in _backbones(network):
        out.append("This preset’s joined image is too small for ResNet-18; a small CNN is in its place.")
    return out


FUSIONVIEW = System(
    title="FusionView-Net (P4)",
    rows=_rows,
    measures=("accuracy", "precision", "recall", "f1", "specificity", "auc_malignant"),
    headline="new patients",
    notes=(
        "“Patients seen” deals single breasts out at random, as the paper does: a patient’s other breast or "
        "older exam may have been learned from. Its figures are too good for a new patient; the distance to "
        "the rows with new patients is how much.",
        "“A to B” learns from A and is measured on every breast of B; “A + B, new patients” pools both and "
        "keeps each patient on one side. The paper prints one row for both directions and does not say "
        "which, and one for “patients seen” without naming the dataset.",
        "The paper tells benign from malignant; here normal breasts are judged too, and the figures are of "
        "malignant against all the rest.",
    ),
    left_out=_left_out,
)
