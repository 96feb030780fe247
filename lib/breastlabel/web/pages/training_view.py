"""The training that runs, or the last one, as the pages tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["training_view"]

_WORDS = {"RUNNING": "running", "DONE": "done", "ERROR": "failed", "STOPPED": "stopped"}


def training_view(app: BreastLabelApp) -> dict[str, Any]:
    """``state`` (``none``, ``running``, ``done``, ``failed`` or ``stopped``), and what is known of it."""
    models = app.trainers()
    task = app.jobs.latest()
    if task is None:
        return {"state": "none", "models": models}
    figures = task.get("figures") or {}
    return {
        "state": _WORDS[task["status"]],
        "models": models,
        "model": task["request"].get("model"),
        "progress": min(1.0, max(0.0, task["progress"])),
        "epoch": task["epoch"],
        "epochs": task["total_epochs"],
        "message": task["message"],
        "promoted": task["promoted"],
        "version": task["version"],
        "began": task["start_ts"],
        "ended": task.get("end_ts"),
        "figures": [
            (name, float(figures[key]))
            for key, name in (
                ("val_dice", "validation Dice"),
                ("val_auc", "validation AUC"),
                ("train_loss", "loss"),
            )
            if isinstance(figures.get(key), int | float)
        ],
    }
