"""Why a case stands where it does, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from breastlabel.catalog import ByScore, First, Order, Revisit
from breastlabel.catalog.case_order import RankedCase
from breastlabel.catalog.scores import REVISIT

__all__ = ["NOT_SCORED", "score_json"]

NOT_SCORED = "not scored yet"

_CLASS = "the model is unsure of its class"
_OUTLINE = "the model is unsure of its outline"
_EDIT = "much of the model's outline is likely to be corrected"
_NEW = "it is unlike the images labelled so far"
#: Strategy -> (reason, what its figure is called; None where the figure is a place in a draw).
_REASONS: dict[str, tuple[str, str | None]] = {
    "entropy": (_CLASS, "entropy"),
    "margin": ("two classes are nearly as likely", "margin"),
    "least-confidence": ("the model has little confidence in its class", "score"),
    "bald": ("the model's repeated answers differ in the class", "BALD"),
    "variation-ratio": ("the model's repeated answers differ in the class", "variation ratio"),
    "mask-disagreement": (_OUTLINE, "disagreement"),
    "expected-edit": (_EDIT, "expected edit"),
    "core-set": (_NEW, None),
    "k-means": (_NEW, None),
    "badge": (f"{_CLASS}, and {_NEW}", None),
    "power-entropy": (f"drawn: {_CLASS}", None),
    "power-bald": ("drawn: the model's repeated answers differ", None),
    "softmax-bald": ("drawn: the model's repeated answers differ", None),
    "softrank-bald": ("drawn: the model's repeated answers differ", None),
    "power-expected-edit": (f"drawn: {_EDIT}", None),
    "clasp": ("drawn: the model is unsure of it", None),
    "entropy-core-set": (f"{_CLASS}, and {_NEW}", None),
    "entropy-and-edit": (f"{_CLASS}, and {_EDIT}", None),
    "bald-and-mask": ("the model's repeated answers differ in class and outline", None),
    REVISIT: ("model and label disagree", "disagreement"),
}


def score_json(
    strategy: str, orders: Sequence[Order], case: RankedCase, *, of_older_model: bool
) -> dict[str, Any]:
    """``value``, ``strategy`` and ``reason`` of a case's place in a list.

    Args:
        orders: by which the list was made.
        of_older_model: the scores are not those of the model version that serves.
    """
    return {
        "value": case.value,
        "strategy": strategy,
        "reason": _reason(strategy, orders, case.value, of_older_model),
    }


def _reason(strategy: str, orders: Sequence[Order], value: float | None, of_older_model: bool) -> str:
    if value is not None:
        why, figure = _REASONS.get(strategy, ("the model would learn from it", "score"))
        said = f"{why} ({figure} {value:.2f})" if figure else f"{why} (place by {strategy})"
        return f"{said}, says an older model" if of_older_model else said
    if any(isinstance(order, First) for order in orders):
        return "next in the folder's order"
    if strategy == "random":
        return "drawn by chance"
    if any(isinstance(order, Revisit) for order in orders):
        return "labelled longest ago"
    return (
        NOT_SCORED
        if any(isinstance(order, ByScore) for order in orders)
        else f"{NOT_SCORED}: drawn by chance"
    )
