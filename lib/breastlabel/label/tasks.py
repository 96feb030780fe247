"""Background jobs as MONAI Label's clients expect tasks and their figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from breastlabel.jobs import OVER, JobState
from breastlabel.label.job import Job

__all__ = ["stats_of", "task_of"]

# What MONAI Label's clients call the states. Slicer takes everything but RUNNING for the end of the
# training, so a job that waits is RUNNING to it.
_STATUS = {
    JobState.QUEUED: "RUNNING",
    JobState.RUNNING: "RUNNING",
    JobState.DONE: "DONE",
    JobState.FAILED: "ERROR",
    JobState.CANCELLED: "STOPPED",
    JobState.INTERRUPTED: "ERROR",
}

# Of a request: the server's own folders, and who asked, which the audit tells.
_PRIVATE = ("studies", "from", "author", "client_id")


def task_of(job: Job) -> dict[str, Any]:
    """A job as a task; Slicer reads the last of ``details`` unconditionally, so there is always one."""
    state = job.state()
    message = str(state.get("message") or state["state"])
    done = f"epoch {state['epoch']} of {state['epochs']}" if state.get("epochs") else None
    attempts = int(job.process().get("attempts", 0))
    again = f"attempt {attempts}" if attempts > 1 else None
    task: dict[str, Any] = {
        "id": job.id,
        "status": _STATUS.get(state["state"], "RUNNING"),
        "state": state["state"],
        "progress": float(state.get("progress") or 0.0),
        "epoch": state.get("epoch"),
        "total_epochs": state.get("epochs"),
        "figures": state.get("figures"),
        "version": state.get("version"),
        "promoted": state.get("promoted"),
        "message": message,
        "attempts": attempts,
        "request": {k: v for k, v in job.request().items() if k not in _PRIVATE},
        "start_ts": _clock(_requested(job)),
        "details": [*(text for text in (again, done) if text), message],
    }
    if state["state"] in OVER:
        task["end_ts"] = _clock(_ended(job))
    return task


def stats_of(job: Job) -> dict[str, Any]:
    """Figures of a training, under the names that Slicer's progress bars read.

    ``total_epochs``, ``best_metric`` (validation Dice), ``epoch`` and, once it is over, ``total_time`` in
    seconds. While it runs ``epoch`` counts the part of the present one too, so that Slicer's bar, which
    shows ``epoch / total_epochs``, also moves where one epoch takes minutes.
    """
    state = job.state()
    figures = state.get("figures") or {}
    over = state["state"] in OVER
    total, progress = int(state.get("epochs") or 1), float(state.get("progress") or 0.0)
    epoch: float = int(state.get("epoch") or 0)
    if not over and progress * total > epoch:
        epoch = round(progress * total, 2)
    stats: dict[str, Any] = {
        "id": job.id,
        "state": state["state"],
        "message": state.get("message"),
        "epoch": epoch,
        "total_epochs": total,
        "progress": progress,
        "best_metric": float(figures.get("val_dice") or 0.0),
        "figures": figures,
        "version": state.get("version"),
        "promoted": state.get("promoted"),
        "start_ts": _clock(_requested(job)),
    }
    if over:
        stats["total_time"] = round(_ended(job) - _requested(job), 1)
    return stats


def _requested(job: Job) -> float:
    """When it was asked for, in seconds since 1970: its folder's name tells, which no later write changes."""
    try:
        day, clock, fraction = job.id.split("-")[:3]
        return datetime.strptime(f"{day}{clock}{fraction}+0000", "%Y%m%d%H%M%S%f%z").timestamp()
    except ValueError:
        return (job.folder / "job.json").stat().st_mtime


def _ended(job: Job) -> float:
    return (job.folder / "status.json").stat().st_mtime


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
