"""A scoring in a process of its own: ``python -m breastlabel.activelearning.worker --job FOLDER``.

``job.json``: ``model``, ``studies``; optional ``methods`` (all, if absent), ``passes``, ``device``, ``batch``
(how many images a method chooses that chooses sets) and ``limit`` (read at most so many images).

The champion is the one that serves when the worker starts. It writes ``status.json`` and the scores, imports
no server, and ends within one batch on SIGTERM; when it is started again it goes on with the images that it
has not seen.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from breastlabel.jobs import Status, main_of, run_worker
from breastlabel.jobs.resources import limit_torch

__all__ = ["main", "run_job"]

#: With the 0.6 of a training, a fifth of the GPU's memory is left to inference.
_GPU_SHARE = 0.2


def run_job(job: Path) -> int:
    """Do the job in a folder; the exit code says how it ended, see `breastlabel.jobs.run_worker`."""
    return run_worker(job, _score)


def _score(asked: dict[str, Any], status: Status) -> str:
    # Imported here so that the status says "starting" while torch loads.
    from breastlabel.activelearning.scoring import score_studies

    # A batch of images needs little, and a training may run beside this.
    limit_torch(device=asked.get("device"), share=_GPU_SHARE)
    options = {
        name: asked[name] for name in ("methods", "passes", "device", "batch", "limit") if asked.get(name)
    }
    result = score_studies(asked["studies"], str(asked["model"]), progress=_Reports(status), **options)
    status.update(
        version=result.model_version,
        figures={
            "images": result.n_scored,
            "read": result.n_read,
            "unreadable": result.n_unreadable,
            "skipped": result.n_skipped,
            "images_per_second": result.images_per_second,
            "seconds": result.seconds,
        },
        methods=list(result.methods),
    )
    unreadable = f"; {result.n_unreadable} cannot be read" if result.n_unreadable else ""
    skipped = f"; {result.n_skipped} were skipped and are tried again next time" if result.n_skipped else ""
    return (
        f"{result.n_scored} images are scored by {len(result.methods)} methods with version "
        f"{result.model_version}, {result.n_read} of them were read{unreadable}{skipped}"
    )


class _Reports:
    """Turns what a scoring tells into the job's status, with its speed and what remains."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._what = ""
        self._since = (0.0, 0)

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._since = what, (now, done)
        started, before = self._since
        rate = (done - before) / (now - started) if now > started and done > before else 0.0
        self._status.values["figures"] = {
            "done": done,
            "total": total,
            "images_per_second": round(rate, 2),
            "seconds_left": round((total - done) / rate) if rate else None,
        }
        # The waiting images are nearly all of the work; the labelled ones come last.
        share = done / total if total else 1.0
        self._status.report(f"{what} images", 0.9 * share if what == "scoring" else 0.9 + 0.1 * share)


def main(arguments: list[str] | None = None) -> int:
    """The worker's command line."""
    return main_of(
        _score, description="Score the images of a studies folder as a job folder says.", arguments=arguments
    )


if __name__ == "__main__":
    sys.exit(main())
