"""A training in a process of its own: ``python -m breastlabel.training.worker --job FOLDER``.

The folder's ``job.json`` says what to train; the worker writes ``status.json`` there, atomically, and
the checkpoint into ``checkpoint/``. It imports no server, survives the server's end, goes on with its
own state when it is started again, and ends within one step on SIGTERM.

``job.json``: ``model``, ``studies``; optional ``preset``, ``epochs``, ``device``, ``from`` (a checkpoint
folder; absent: the champion if there is one; null: from random weights), ``seed``, ``time_limit``,
``promote`` (``auto``, ``always`` or ``never``), ``author`` and ``client_id`` (who asked).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breastlabel.errors import CheckpointError
from breastlabel.jobs import (
    CancelledError,
    Status,
    main_of,
    nothing_left_to_cancel,
    read_json,
    run_worker,
)
from breastlabel.jobs.resources import limit_torch

__all__ = ["main", "run_job"]


def run_job(job: Path) -> int:
    """Do the job in a folder; the exit code says how it ended, see `breastlabel.jobs.run_worker`."""
    return run_worker(job, _train)


def _train(asked: dict[str, Any], status: Status) -> str:
    # Imported here so that the status says "starting" while torch loads.
    from breastlabel.imaging.atomic import write_bytes_atomically
    from breastlabel.training.mlflow_registry import sync_later
    from breastlabel.training.registry import ModelRegistry, site_folder
    from breastlabel.training.run import train
    from breastlabel.training.spec import read_spec

    limit_torch(device=asked.get("device"))
    job, model, studies = status.folder, str(asked["model"]), Path(asked["studies"])
    registry = ModelRegistry(studies)
    start: Path | None
    if "from" in asked:
        start = None if asked["from"] is None else Path(asked["from"])
    else:
        start = registry.champion(model) if registry.has_champion(model) else None
        # Kept: a job that is started again goes on from the same champion, whichever serves by then.
        asked = {**asked, "from": None if start is None else str(start)}
        write_bytes_atomically(job / "job.json", (json.dumps(asked) + "\n").encode())
    output = job / "checkpoint"
    of_pieces, of_images = _epochs(asked, model, start)
    epochs = of_pieces + of_images
    reports = _Reports(status, epochs, done=_epochs_done(output, of_pieces))

    def run() -> None:
        train(
            model,
            studies,
            output=output,
            preset=str(asked.get("preset", "default")),
            epochs=of_images,
            device=asked.get("device"),
            start_from=start,
            seed=int(asked.get("seed", 0)),
            time_limit=asked.get("time_limit"),
            tracking=site_folder(studies),
            progress=reports.on_progress,
            on_epoch=(reports.on_epoch,),
        )

    began = {"job": job.name, "start_from": None if start is None else str(read_spec(start)["version"])}
    _record(asked, "model.train", **began, epochs=epochs, resumed_at=reports.epoch)
    # A checkpoint appears whole: a worker before this one had got as far, but not to the promotion.
    if not (output / "model.json").is_file():
        _go_on(run, output, reports)
    message = _enter(registry, output, asked, status)
    # The mirror is a process of its own.
    sync_later(studies)
    return message


def _go_on(run: Callable[[], None], output: Path, reports: _Reports) -> None:
    """Go on from the state of a worker before; where labels changed since, it fits no more: train anew."""
    goes_on = any((output / state).is_dir() for state in ("state", "state-pieces"))
    try:
        run()
    except CheckpointError:
        if not goes_on:
            raise
        shutil.rmtree(output)
        reports.begin(0)
        run()


class _Reports:
    """Turns what a training tells into the job's status.

    Args:
        epochs: over pieces and over images together.
        done: those of an earlier worker.

    Attributes:
        epoch: how many are done.
    """

    def __init__(self, status: Status, epochs: int, *, done: int) -> None:
        self._status = status
        self._epochs = epochs
        self.begin(done)

    def begin(self, epoch: int) -> None:
        self.epoch = epoch
        self._status.update(epochs=self._epochs, epoch=epoch, progress=round(epoch / self._epochs, 4))

    def on_progress(self, what: str, done: int, total: int) -> None:
        within = done / total if what in ("training", "training on pieces") else 0.0
        self._status.report(what, (self.epoch + within) / self._epochs)

    def on_epoch(self, figures: dict[str, float]) -> None:
        self.epoch = int(figures["epoch"])
        finite = {k: round(v, 5) for k, v in figures.items() if v == v and abs(v) != float("inf")}
        self._status.update(epoch=self.epoch, figures=finite)


def _enter(registry: Any, output: Path, asked: dict[str, Any], status: Status) -> str:
    """Put the checkpoint among the versions, and let it serve if it may; one sentence on the outcome."""
    from breastlabel.training.promotion import challenge
    from breastlabel.training.spec import read_spec

    model, promote = str(asked["model"]), str(asked.get("promote", "auto"))
    version = str(read_spec(output)["version"])
    if promote == "never":
        registry.add(model, output)
        nothing_left_to_cancel()
        status.update(version=version, promoted=False)
        return f"version {version} was added; promotion was not asked for"
    status.update(message="comparing with the champion")
    try:
        decision = challenge(registry, model, output, Path(asked["studies"]), always=promote == "always")
        nothing_left_to_cancel()
    except CancelledError:
        # Where it serves already, there is nothing left to cancel.
        if registry.champion_version(model) != version:
            raise
        status.update(version=version, promoted=True)
        _record(asked, "model.promote", version=version, reason="cancelled when it served already")
        return f"version {version} serves now"
    status.update(version=version, promoted=decision.promoted)
    acted = "model.promote" if decision.promoted else "model.refuse"
    _record(asked, acted, version=version, champion=decision.champion, reason=decision.reason)
    verb = "serves now" if decision.promoted else "was kept but does not serve"
    return f"version {version} {verb}: {decision.reason}"


def _record(asked: dict[str, Any], action: str, **details: Any) -> None:
    from breastlabel.training.acts import record_act

    record_act(
        Path(asked["studies"]),
        action,
        {"model": asked["model"], **details},
        author=asked.get("author"),
        client_id=asked.get("client_id"),
    )


def _epochs(asked: dict[str, Any], model: str, start: Path | None) -> tuple[int, int]:
    """Over pieces and over images."""
    from breastlabel.training.presets import preset

    chosen = preset(model, str(asked.get("preset", "default")))
    epochs = int(asked["epochs"]) if asked.get("epochs") else None
    return chosen.epochs(epochs, fine_tuning=start is not None)


def _epochs_done(output: Path, of_pieces: int) -> int:
    """By the workers before, as their states say."""
    images = int(read_json(output / "state" / "state.json").get("epoch", 0))
    pieces = int(read_json(output / "state-pieces" / "state.json").get("epoch", 0))
    return of_pieces + images if images else pieces


def main(arguments: list[str] | None = None) -> int:
    """The worker's command line."""
    return main_of(_train, description="Train a model as a job folder says.", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
