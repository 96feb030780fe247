"""Trainings in processes of their own, which a server starts and watches, and which may outlive it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.label.errors import RunningError

__all__ = ["Job", "TrainingJobs"]

_OVER = ("done", "failed", "cancelled")
# What MONAI Label's clients call these states.
_STATUS = {
    "queued": "RUNNING",
    "running": "RUNNING",
    "done": "DONE",
    "failed": "ERROR",
    "cancelled": "STOPPED",
}
_POLL = 0.5
#: Seconds that a worker has to end by itself; it may be importing torch and see the signal late.
_GRACE = 10.0
_KEPT_LINES = 20


@dataclass
class Job:
    """One training: a folder with ``job.json``, ``status.json``, ``log.txt`` and ``process.json``."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _over: bool = field(default=False, repr=False)

    @property
    def id(self) -> str:
        """The folder's name: when it was asked for, and four random letters."""
        return self.folder.name

    def request(self) -> dict[str, Any]:
        """What was asked for."""
        return _read(self.folder / "job.json")

    def state(self) -> dict[str, Any]:
        """The worker's latest word; ``state`` is queued, running, done, failed or cancelled."""
        return {"state": "queued", **_read(self.folder / "status.json")}

    def is_over(self) -> bool:
        """Whether it ended, one way or another."""
        # The end is final, so the files of old jobs are not read again and again.
        self._over = self._over or self.state()["state"] in _OVER
        return self._over

    def was_started(self) -> bool:
        """Whether a process was ever started for it, by this server or one before."""
        return self.process is not None or (self.folder / "process.json").is_file()

    def alive(self) -> bool:
        """Whether its process runs, be it this server's child or that of one before."""
        if self.process is not None:
            return self.process.poll() is None
        return self._other_process() is not None

    def start(self) -> None:
        """Start the worker in a session of its own, so that it does not end with the server."""
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "breastlabel.training.worker", "--job", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            _write(self.folder / "process.json", {"pid": process.pid, "created": process.create_time()})
            # Annotators wait for inference; nobody waits for a step of the training.
            process.nice(10)

    def signal(self, number: int) -> None:
        """Send a signal to the worker and its children."""
        pid = self.process.pid if self.process is not None else getattr(self._other_process(), "pid", None)
        if pid is not None and self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def note(self, **values: Any) -> None:
        """Write the status in the worker's stead, when it cannot any more or not yet."""
        _write(self.folder / "status.json", {**self.state(), **values})

    def _other_process(self) -> psutil.Process | None:
        """The process that another server started, unless its number went to some other program since."""
        known = _read(self.folder / "process.json")
        if not known:
            return None
        try:
            process = psutil.Process(int(known["pid"]))
            same = abs(process.create_time() - float(known["created"])) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, KeyError, ValueError):
            return None


class TrainingJobs:
    """The trainings of a studies folder, one at a time, in the order in which they were asked for.

    What is known of them lies in their folders, so a new server takes over where the last one stopped: a
    worker that still runs is watched again, one that died is reported as failed.

    Args:
        folder: holds one folder a job; it is made when the first one is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._jobs: list[Job] = []
        self._stopping: set[str] = set()
        self._watcher: threading.Thread | None = None
        if folder.is_dir():
            self._jobs = [Job(p) for p in sorted(folder.iterdir()) if (p / "job.json").is_file()]

    def start(self, request: Mapping[str, Any], *, enqueue: bool = False) -> dict[str, Any]:
        """Begin a training, or queue it behind the one that runs.

        Args:
            request: ``job.json`` as ``breastlabel.training.worker`` reads it.
            enqueue: wait for the running one; otherwise a running one is an error.

        Returns:
            The task, as `task` describes it.

        Raises:
            RunningError: a training runs already.
        """
        with self._lock:
            if not enqueue and self.running() is not None:
                raise RunningError(
                    "one training at a time; one is running; wait for it, stop it, or ask to enqueue"
                )
            job = Job(self._folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}")
            job.folder.mkdir(parents=True)
            _write(job.folder / "job.json", dict(request))
            _write(
                job.folder / "status.json",
                {"state": "queued", "progress": 0.0, "message": "waiting to start"},
            )
            self._jobs.append(job)
            self._start_next()
            self.watch()
            return self.task(job)

    def running(self) -> dict[str, Any] | None:
        """The task that runs or waits, None where there is none."""
        with self._lock:
            open_jobs = self._open()
            return self.task(open_jobs[0]) if open_jobs else None

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks, oldest first."""
        with self._lock:
            return [self.task(job) for job in self._jobs]

    def latest(self) -> dict[str, Any] | None:
        """The task that runs; else the one asked for last; None where there was none ever."""
        with self._lock:
            running = self.running()
            return running or (self.task(self._jobs[-1]) if self._jobs else None)

    def stop(self) -> dict[str, Any] | None:
        """End the training that runs and forget those that wait; the champion stays as it is.

        Returns:
            The task that was ended, None where none ran.
        """
        with self._lock:
            open_jobs = self._open()
            for job in open_jobs:
                self._stopping.add(job.id)
                if not job.alive():
                    self._settle(job)
                else:
                    job.signal(signal.SIGTERM)
        for job in open_jobs:
            if not self._wait(job, _GRACE):
                job.signal(signal.SIGKILL)
                self._wait(job, _GRACE)
        with self._lock:
            for job in open_jobs:
                self._settle(job)
            return self.task(open_jobs[0]) if open_jobs else None

    def wait(self, task_id: str, timeout: float | None = None) -> dict[str, Any]:
        """Wait until a task is over.

        Raises:
            TimeoutError: it is not within ``timeout`` seconds.
        """
        job = next(job for job in self._jobs if job.id == task_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not job.is_over():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"training {task_id} is not over after {timeout:g} s")
            time.sleep(_POLL)
        return self.task(job)

    def stats(self, model: str) -> dict[str, Any]:
        """Figures of the model's newest training, under the names that Slicer's progress bars read.

        ``epoch``, ``total_epochs``, ``best_metric`` (validation Dice) and, once it is over, ``total_time``
        in seconds; empty where it was never trained here.
        """
        with self._lock:
            job = next((job for job in reversed(self._jobs) if job.request().get("model") == model), None)
        if job is None:
            return {}
        state = job.state()
        figures = state.get("figures") or {}
        stats: dict[str, Any] = {
            "id": job.id,
            "state": state["state"],
            "message": state.get("message"),
            "epoch": int(state.get("epoch") or 0),
            "total_epochs": int(state.get("epochs") or 1),
            "progress": float(state.get("progress") or 0.0),
            "best_metric": float(figures.get("val_dice") or 0.0),
            "figures": figures,
            "version": state.get("version"),
            "promoted": state.get("promoted"),
            "start_ts": _clock(_requested(job)),
        }
        if state["state"] in _OVER:
            stats["total_time"] = round(_ended(job) - _requested(job), 1)
        return stats

    def task(self, job: Job) -> dict[str, Any]:
        """A job as MONAI Label's clients expect a task.

        A queued job is RUNNING to them: Slicer takes everything else for the end of the training. Slicer
        reads the last of ``details`` unconditionally, so there is always one.
        """
        state = job.state()
        message = str(state.get("message") or state["state"])
        done = f"epoch {state['epoch']} of {state['epochs']}" if state.get("epochs") else None
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
            "request": {k: v for k, v in job.request().items() if k != "studies"},
            "start_ts": _clock(_requested(job)),
            "details": [*([done] if done else []), message],
        }
        if state["state"] in _OVER:
            task["end_ts"] = _clock(_ended(job))
        return task

    def log(self, task_id: str) -> list[str]:
        """The last lines that a worker printed."""
        job = next(job for job in self._jobs if job.id == task_id)
        with contextlib.suppress(OSError):
            text = (job.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            return text.splitlines()[-_KEPT_LINES:]
        return []

    def _open(self) -> list[Job]:
        for job in self._jobs:
            self._settle(job)
        return [job for job in self._jobs if not job.is_over()]

    def _start_next(self) -> None:
        waiting = [job for job in self._jobs if not job.is_over()]
        if waiting and not any(job.was_started() for job in waiting):
            waiting[0].start()

    def _settle(self, job: Job) -> None:
        """Write down the end of a job whose process is gone without a word."""
        if job.is_over() or job.alive():
            return
        cancelled = job.id in self._stopping
        if not job.was_started() and not cancelled:
            return
        # The worker may have written its last word between the two looks above.
        if job.is_over():
            return
        if cancelled:
            job.note(state="cancelled", message="cancelled; the champion is unchanged")
        else:
            job.note(state="failed", message=f"{self._how(job)}; the champion is unchanged; start it again")

    @staticmethod
    def _how(job: Job) -> str:
        code = None if job.process is None else job.process.returncode
        if code is not None and code < 0:
            return f"interrupted: the training process was ended by signal {-code}"
        return "interrupted: the training process ended before the training did"

    def _wait(self, job: Job, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while job.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def watch(self) -> None:
        """Watch what runs and start what waits, in a thread that lives as long as there is any.

        Called once by the server when it starts, for the jobs that it found.
        """
        with self._lock:
            if self._watcher is None and any(not job.is_over() for job in self._jobs):
                self._watcher = threading.Thread(target=self._loop, name="training-jobs", daemon=True)
                self._watcher.start()

    def _loop(self) -> None:
        while True:
            time.sleep(_POLL)
            with self._lock:
                if not self._open():
                    self._watcher = None
                    return
                self._start_next()


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_bytes_atomically(path, (json.dumps(dict(values), default=str) + "\n").encode())


def _requested(job: Job) -> float:
    return (job.folder / "job.json").stat().st_mtime


def _ended(job: Job) -> float:
    return (job.folder / "status.json").stat().st_mtime


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
