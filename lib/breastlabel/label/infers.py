"""The inference tasks of an app: one a served system, and ``explain``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from breastlabel.imaging import Modality
from breastlabel.label.breast_task import ClassTask, OutlineTask, RegionsTask
from breastlabel.label.breasts import Breasts
from breastlabel.label.explain import ExplainTask
from breastlabel.label.infer import SegmentationTask
from breastlabel.label.predictors import ChampionPredictors
from breastlabel.label.systems import MODELS

__all__ = ["OUTLINING", "WITHOUT_OUTLINES", "create_infers"]

OUTLINING = (SegmentationTask, OutlineTask)
"""Tasks whose masks are proposals to a reader."""

WITHOUT_OUTLINES = (ClassTask, ExplainTask)
"""Tasks whose files must not be taken for label maps."""


def create_infers(models: Sequence[str], predictors: ChampionPredictors, breasts: Breasts) -> dict[str, Any]:
    """Each task by its name, in the order of the served models, ``explain`` last."""
    tasks: dict[str, Any] = {}
    for name in models:
        system = MODELS[name]
        if system.modality is not Modality.MG:
            tasks[name] = SegmentationTask(
                name, predictors, modality=system.modality, description=system.description
            )
            continue
        kind = OutlineTask if system.outlines else RegionsTask if name == "cad" else ClassTask
        tasks[name] = kind(name, predictors, breasts, description=system.description)
    tasks["explain"] = ExplainTask(models, predictors, breasts)
    return tasks
