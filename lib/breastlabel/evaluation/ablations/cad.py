"""P2's comparison: the old CAD on hand-made features, and the network with and without texture and form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breastlabel.evaluation.ablations.row import Row, System

__all__ = ["CAD"]

_WHOLE = "+ form (the paper's system)"


def _rows(network: Mapping[str, Any], studies: int) -> list[Row]:
    old, new = "Hand-made features of the grown region", "Network"
    svm, image = "Support vector machine", "Image alone"
    return [
        Row(svm, old, baseline="svm"),
        Row("Random forest", old, baseline="random-forest", versus=svm),
        Row(image, new, {"clinical": 0, "texture": False}, versus=svm),
        Row("+ texture statistics", new, {"clinical": 0}, versus=image),
        Row(
            _WHOLE,
            new,
            {},
            versus="+ texture statistics",
            # Table II; sensitivity, specificity and accuracy also in its discussion.
            paper={
                "precision": 0.98,
                "recall": 0.92,
                "sensitivity": 0.93,
                "specificity": 0.90,
                "accuracy": 0.96,
                "f1": 0.95,
            },
        ),
    ]


CAD = System(
    title="computer-aided diagnosis (P2)",
    rows=_rows,
    measures=(
        "precision",
        "recall",
        "sensitivity",
        "sensitivity_as_printed",
        "specificity",
        "error_rate",
        "accuracy",
        "f1",
        "auc_malignant",
    ),
    headline=_WHOLE,
    notes=(
        "The paper prints sensitivity as TP / (TP + TN), which is no sensitivity: where there are few "
        "malignant cases it is small however good the model is. Sensitivity here is TP / (TP + FN), the same "
        "as recall; the column “as printed” follows the paper’s formula. The paper itself gives a recall of "
        "92 % and a sensitivity of 93 % for one model.",
        "Support vector machine and forest learn from train and val together, for they choose their settings "
        "by cross-validation over patients; the networks learn from train, and val chooses the epoch.",
        "Each image is judged by itself, with its own class. A column is undefined where its denominator "
        "is 0: precision where nothing was called malignant.",
    ),
)
