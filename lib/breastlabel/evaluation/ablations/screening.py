"""P3's ablation: branches, recurrence, context, patches first, invasiveness, backbones, half the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breastlabel.evaluation.ablations.row import Row, System

__all__ = ["SCREENING"]

_WHOLE = "+ RNN (the paper's system)"
_DEFAULTS: Mapping[str, Any] = {"cnn": (32, 64, 128, 256), "backbone": "resnet50", "recurrence": "lstm"}
_OTHERS = ("efficientnet_b0", "maxvit_nano_rw_256")
_CONTEXT = ("age", "density", "implant", "machine")


def _second(network: Mapping[str, Any]) -> dict[str, Any]:
    """The branch beside the CNN; blocks of ours where the preset has no backbone."""
    name = {**_DEFAULTS, **network}["backbone"]
    return {"backbone": name} if name else {"backbone": "blocks", "widths": _cnn(network)}


def _cnn(network: Mapping[str, Any]) -> list[int]:
    return list({**_DEFAULTS, **network}["cnn"])


def _rows(network: Mapping[str, Any], studies: int) -> list[Row]:
    cnn, second = {"cnn": _cnn(network)}, _second(network)
    name = "ResNet-50" if second["backbone"] == "resnet50" else f"second branch ({second['backbone']})"
    recurrence = {"recurrence": {**_DEFAULTS, **network}["recurrence"]}
    whole = {**cnn, **second, **recurrence, "invasive": True, "boxes": False}
    without: dict[str, Any] = {"recurrence": None}
    parts, context, start = "Parts", "Age, density, implant, machine", "Where the branches start"
    invasive, boxes = "Whether a cancer is invasive", "Boxes around lesions"
    rows = [
        # The paper's tables 5 and 6, 256 x 256.
        Row(
            "CNN alone",
            parts,
            {**cnn, "backbone": None, **without},
            shown="alone",
            paper={"accuracy": 0.90, "auc_malignant": 0.62, "precision": 0.17, "recall": 0.26},
        ),
        Row(
            f"{name[0].upper()}{name[1:]} alone",
            parts,
            {"cnn": None, **second, **without},
            shown="alone",
            versus="CNN alone",
            paper={"accuracy": 0.98, "auc_malignant": 0.70, "precision": 0.15, "recall": 0.18, "f1": 0.28}
            if second["backbone"] == "resnet50"
            else {},
        ),
        Row("Both, without RNN", parts, {**whole, **without}, shown="alone", versus="CNN alone"),
        Row(
            _WHOLE,
            parts,
            whole,
            versus="Both, without RNN",
            paper={"accuracy": 0.97, "auc_malignant": 0.65, "precision": 0.12, "recall": 0.21, "f1": 0.18},
        ),
        Row("Unknown to the network", context, whole, unknown=_CONTEXT),
        Row("Known, as above", context, whole, versus="Unknown to the network"),
        Row("Random weights", start, whole),
        Row("A patch classifier’s", start, whole, patches=True, versus="Random weights"),
        # The paper's figure 7. Where the studies cannot teach it, neither network answers.
        Row("Not asked", invasive, {**whole, "invasive": False}),
        Row("Asked", invasive, whole, versus="Not asked"),
        Row("Class alone", boxes, whole),
        Row("Class and boxes", boxes, {**whole, "boxes": True}, versus="Class alone"),
        Row("Half the rows and columns", "Size", whole, scale=0.5),
        Row("Full size", "Size", whole, versus="Half the rows and columns"),
    ]
    if second["backbone"] == "resnet50":
        # At half the size: maxvit_nano_rw_256 is built for 256 pixels.
        rows += [
            Row(f"{other} in ResNet-50’s place", "Backbone", {**whole, "backbone": other}, scale=0.5)
            for other in _OTHERS
        ]
    return rows


def _left_out(network: Mapping[str, Any], studies: int) -> list[str]:
    if _second(network)["backbone"] == "resnet50":
        return []
    return [
        f"This preset has no pretrained backbone: the second branch is a small CNN in ResNet-50’s place, and "
        f"the rows with {' and '.join(_OTHERS)} are left out; --preset paper has them."
    ]


SCREENING = System(
    title="the screening model (P3)",
    rows=_rows,
    measures=("accuracy", "auc_malignant", "precision", "recall", "f1", "pf1", "specificity", "auc_invasive"),
    headline=_WHOLE,
    notes=(
        "Without the RNN each image is learned and judged by itself, with the class of its breast; with it, "
        "breasts are judged. The patients are the same.",
        "The paper’s accuracies of 97 and 98 % say little: about 98 % of the RSNA images show no cancer, so "
        "a model that calls nothing malignant reaches them. The column “nothing called” below gives the same "
        "figure for these images.",
    ),
    left_out=_left_out,
)
