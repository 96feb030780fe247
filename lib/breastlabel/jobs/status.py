"""How far a job is, in a file that a reader always finds whole."""

from __future__ import annotations

import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["OVER", "JobState", "Status", "read_json"]

#: Seconds between two writes of mere progress. Who watches asks less often.
_INTERVAL = 0.2


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Its process ended without a word: killed, out of memory, or the machine went down. It can be resumed.
    INTERRUPTED = "interrupted"


#: The states that do not change by themselves.
OVER = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED})


class Status:
    """The ``status.json`` of a job, written by its worker and replaced as a whole each time.

    Attributes:
        folder: the job's.
        values: what was written last: ``state``, ``progress`` (0 to 1), ``message``, and whatever else the
            work reports (``epoch``, ``epochs``, ``figures``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, Any] = {"state": JobState.RUNNING, "pid": os.getpid(), "progress": 0.0}
        self._written = 0.0

    def update(self, **values: Any) -> None:
        """Write these values beside those written before."""
        self.values |= values
        partial = self.folder / "status.json.partial"
        partial.write_text(json.dumps(self.values) + "\n", encoding="utf-8")
        os.replace(partial, self.folder / "status.json")
        self._written = time.monotonic()

    def report(self, message: str, progress: float) -> None:
        """Tell how far the work is; may be called at every step, for it writes a few times a second only.

        Args:
            message: what is being done, without identifiers.
            progress: share of the whole job that is done, 0 to 1.
        """
        progress = round(min(max(progress, 0.0), 1.0), 4)
        if message == self.values.get("message") and time.monotonic() - self._written < _INTERVAL:
            self.values["progress"] = progress
            return
        self.update(message=message, progress=progress)


def read_json(path: Path) -> dict[str, Any]:
    """A job's file; empty where there is none or it holds something else."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
