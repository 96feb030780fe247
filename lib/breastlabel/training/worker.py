"""A training in a process of its own: ``python -m breastlabel.training.worker --job FOLDER``.

The folder's ``job.json`` says what to train; the worker writes ``status.json`` there, atomically, and
the checkpoint into ``checkpoint/``. It imports no server, survives the server's end, goes on with its
own state when it is started again, and ends within one step on SIGTERM.

``job.json``: ``model``, ``studies``; optional ``preset``, ``epochs``, ``device``, ``from`` (a checkpoint
folder; absent: the champion if there is one; null: from random weights), ``seed``, ``time_limit``,
``promote`` (``auto``, ``always`` or ``never``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from breastlabel.errors import BreastLabelError
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["CancelledError", "main", "run_job"]


class CancelledError(Exception):
    """The training was asked to end."""


class _Status:
    """The job's ``status.json``, replaced as a whole each time."""

    def __init__(self, job: Path) -> None:
        self.path = job / "status.json"
        self.values: dict[str, Any] = {"state": "running", "pid": os.getpid(), "progress": 0.0}

    def update(self, **values: Any) -> None:
        self.values |= values
        partial = self.path.with_name("status.json.partial")
        partial.write_text(json.dumps(self.values) + "\n", encoding="utf-8")
        os.replace(partial, self.path)


def run_job(job: Path) -> int:
    """Do the job in a folder; the exit code says how it ended: 0 done, 1 failed, 3 cancelled."""
    status = _Status(job)
    status.update(message="starting")
    try:
        asked = json.loads((job / "job.json").read_text(encoding="utf-8"))
        message = _train(job, asked, status)
    except CancelledError:
        status.update(state="cancelled", message="cancelled; the champion is unchanged")
        return 3
    except BreastLabelError as error:
        status.update(state="failed", message=str(error))
        return 1
    except Exception as error:
        what = _described(error)
        print(what, file=sys.stderr)
        status.update(state="failed", message=what)
        return 1
    status.update(state="done", progress=1.0, message=message)
    return 0


def _described(error: Exception) -> str:
    """What went wrong and where, without the error's own text: that may name a file, and a file a patient."""
    frame, line = None, 0
    trace = error.__traceback__
    while trace is not None:
        frame, line, trace = trace.tb_frame, trace.tb_lineno, trace.tb_next
    where = "unknown" if frame is None else f"{frame.f_globals.get('__name__', 'unknown')}:{line}"
    # Of the system's errors the reason is a fixed text, such as "No space left on device".
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{reason} at {where}"


def _train(job: Path, asked: dict[str, Any], status: _Status) -> str:
    # Imported here so that the status says "starting" while torch loads.
    import torch

    from breastlabel.training.promotion import challenge
    from breastlabel.training.registry import ModelRegistry, site_folder
    from breastlabel.training.run import train

    if "OMP_NUM_THREADS" not in os.environ:
        # The server beside this worker keeps a core for its readers' requests.
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
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
        if what != "training":
            status.update(message=what)
            return
        epochs = status.values.get("epochs") or 1
        status.update(message=what, progress=round(min((epochs_done + done / total) / epochs, 1.0), 4))

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


def _cancel(signum: int, frame: FrameType | None) -> None:
    raise CancelledError


def main(arguments: list[str] | None = None) -> int:
    """The worker's command line."""
    parser = argparse.ArgumentParser(description="Train a model as a job folder says.")
    parser.add_argument("--job", type=Path, required=True, help="folder with job.json")
    job = parser.parse_args(arguments).job
    signal.signal(signal.SIGTERM, _cancel)
    signal.signal(signal.SIGINT, _cancel)
    try:
        return run_job(job)
    except Exception as error:
        # The status itself could not be written.
        print(_described(error), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
