"""P0's ablation: CNN, U-Net, LSTM; the gate; one view, two, and priors; what sums up the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breastlabel.evaluation.ablations.row import Row, System

__all__ = ["MAMMOGRAPHY"]

_WHOLE = "+ LSTM (the paper's system)"


def _rows(network: Mapping[str, Any], studies: int) -> list[Row]:
    lstm = {"recurrence": "lstm", "gate": "soft"}
    # What is measured is measured in the outline that gates.
    ungated = {"gate": "off", "sequence_input": "features", "measures": False}
    parts, gate, looks, sums = "Parts", "Gate", "What is looked at", "What sums up the images"
    return [
        Row(
            "CNN alone",
            parts,
            {**ungated, "segmentation": False, "recurrence": None},
            paper={"accuracy": 0.85},
        ),
        Row(
            "+ U-Net",
            parts,
            {"recurrence": None, "gate": "soft"},
            versus="CNN alone",
            paper={"accuracy": 0.88},
        ),
        Row(_WHOLE, parts, lstm, versus="+ U-Net", paper={"accuracy": 0.906, "dice": 0.88}),
        Row("Gate off", gate, {**lstm, **ungated}),
        Row("Soft gate", gate, lstm, versus="Gate off"),
        Row("Crop", gate, {**lstm, "gate": "crop"}, versus="Gate off"),
        Row("One view", looks, {**lstm, "uses_views": False, "uses_priors": False}),
        Row("All views of the exam", looks, {**lstm, "uses_priors": False}, versus="One view"),
        Row("All views and priors", looks, lstm, versus="All views of the exam"),
        Row("Mean", sums, {**lstm, "recurrence": "mean"}),
        Row("LSTM", sums, lstm, versus="Mean"),
        Row("GRU", sums, {**lstm, "recurrence": "gru"}, versus="Mean"),
        Row("Bidirectional LSTM", sums, {**lstm, "recurrence": "bilstm"}, versus="Mean"),
        Row("Transformer", sums, {**lstm, "recurrence": "transformer"}, versus="Mean"),
    ]


MAMMOGRAPHY = System(
    title="the mammography system (P0)",
    rows=_rows,
    measures=("accuracy", "classes", "auc_malignant", "auc_lesion", "sensitivity", "specificity", "dice"),
    headline=_WHOLE,
    notes=(
        "Without recurrence, and in the row “One view”, each image is learned and judged by itself, with the "
        "class of its breast; the other rows judge breasts. The patients are the same.",
        "How often the views of a breast contradict each other, and whether the score falls without the "
        "outlined lesion, is what “breastlabel evaluate --checks” measures.",
    ),
)
