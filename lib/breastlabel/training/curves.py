"""Learning curves, as numbers and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_curves"]


def write_curves(history: Sequence[dict[str, float]], folder: Path, *, best_epoch: int) -> None:
    """Write ``history.json`` and, where matplotlib is installed, ``curves.png`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(list(history), indent=1) + "\n", encoding="utf-8")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(1, 2)
    epochs = [h["epoch"] for h in history]
    for axes, names, title in (
        (losses, ("train_loss", "val_loss"), "joint loss"),
        (scores, ("val_dice", "val_auc"), "validation"),
    ):
        for name in names:
            if any(name in h for h in history):
                axes.plot(epochs, [h.get(name, float("nan")) for h in history], label=name.replace("_", " "))
        axes.axvline(best_epoch, color="grey", linewidth=1, linestyle=":", label="kept epoch")
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(folder / "curves.png", dpi=110)
