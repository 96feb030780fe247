"""A training in a process of its own: ``python -m breastlabel.training.worker --job FOLDER``.

The folder's ``job.json`` says what to train; the worker writes ``status.json`` there, atomically, and
the checkpoint into ``checkpoint/``. It imports no server, survives the server's end, goes on with its
own state when it is started again, and ends within one step on SIGTERM.

``job.json``: ``model``, ``studies``; optional ``preset``, ``epochs``, ``device``, ``from`` (a checkpoint
folder; absent: the champion if there is one; null: from random weights), ``seed``, ``time_limit``,
``promote`` (``auto``, ``always`` or ``never``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.jobs import Status, main_of, run_worker
from breastlabel.jobs.resources import limit_torch

__all__ = ["main", "run_job"]


def run_job(job: Path) -> int:
    """Do the job in a folder; the exit code says how it ended, see `breastlabel.jobs.run_worker`."""
    return run_worker(job, _train)


def _train(asked: dict[str, Any], status: Status) -> str:
    job = status.folder
    # Imported here so that the status says "starting" while torch loads.
    from breastlabel.training.promotion import challenge
    from breastlabel.training.registry import ModelRegistry, site_folder
    from breastlabel.training.run import train

    limit_torch(device=asked.get("device"))
    model, studies = str(asked["model"]), Path(asked["studies"])
    registry = ModelRegistry(studies)
    start: Path | None
    if "from" in asked:
        start = None if asked["from"] is None else Path(asked["from"])
    else:
        start = registry.champion(model) if registry.has_champion(model) else None
        # Kept: a job that is started again goes on from the same champion, whichever serves by then.
        asked = {**asked, "from": None if start is None else str(start)}
        write_bytes_atomically(job / "job.json", (json.dumps(asked) + "\n").encode())
    epochs_done = 0

    def on_progress(what: str, done: int, total: int) -> None:
        at = epochs_done + done / total if what == "training" else 0.0
        status.report(what, at / epochs)

    def on_epoch(figures: dict[str, float]) -> None:
        nonlocal epochs_done
        epochs_done = int(figures["epoch"])
        finite = {k: round(v, 5) for k, v in figures.items() if v == v and abs(v) != float("inf")}
        status.update(epoch=epochs_done, figures=finite)

    epochs = _epochs(asked, model, start)
    status.update(epochs=epochs, epoch=0)
    output = train(
        model,
        studies,
        output=job / "checkpoint",
        preset=str(asked.get("preset", "default")),
        epochs=epochs,
        device=asked.get("device"),
        start_from=start,
        seed=int(asked.get("seed", 0)),
        time_limit=asked.get("time_limit"),
        tracking=site_folder(studies),
        progress=on_progress,
        on_epoch=(on_epoch,),
    )
    promote = str(asked.get("promote", "auto"))
    if promote == "never":
        version = registry.add(model, output)
        return f"version {version} was added; promotion was not asked for"
    decision = challenge(registry, model, output, studies, always=promote == "always")
    status.update(version=decision.challenger, promoted=decision.promoted)
    verb = "serves now" if decision.promoted else "was kept but does not serve"
    return f"version {decision.challenger} {verb}: {decision.reason}"


def _epochs(asked: dict[str, Any], model: str, start: Path | None) -> int:
    from breastlabel.training.presets import preset

    if asked.get("epochs"):
        return int(asked["epochs"])
    chosen = preset(model, str(asked.get("preset", "default")))
    return (chosen.fine_tuning if start else chosen.settings).epochs


def main(arguments: list[str] | None = None) -> int:
    """The worker's command line."""
    return main_of(_train, description="Train a model as a job folder says.", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
