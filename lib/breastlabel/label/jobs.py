"""Background work in processes of its own, which a server starts and watches, and which may outlive it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from breastlabel.errors import NotFoundError
from breastlabel.jobs import JobState
from breastlabel.jobs.lock import alone
from breastlabel.label.errors import ConflictError, RunningError
from breastlabel.label.job import Job, write_json
from breastlabel.label.tasks import stats_of, task_of

__all__ = ["BackgroundJobs"]

_POLL = 0.5
#: Seconds that a worker has to end by itself; it may be importing torch and see the signal late.
_GRACE = 10.0
_KEPT_LINES = 20
_KEPT_JOBS = 20
_CANCELLED = "cancelled; what was served before still serves"


class BackgroundJobs:
    """The jobs of one kind on a studies folder, one at a time, in the order in which they were asked for.

    What is known of them lies in their folders, so a new server takes over where the last one stopped. A
    worker that still runs is watched again. One that died while no server watched, as when the machine went
    down, is started once more and goes on from what it left; if it dies again, and wherever it dies under a
    server's eyes, the job is ``interrupted`` and waits to be resumed by hand. Several servers may share the
    folder: a lock lets one of them act at a time, and each worker holds its job's own lock.

    Args:
        folder: holds one folder a job; it is made when the first one is.
        module: the worker's, run as ``python -m MODULE --job FOLDER``.
        noun: what one job is to the user, e.g. ``training``.
    """

    def __init__(
        self, folder: Path, *, module: str = "breastlabel.training.worker", noun: str = "training"
    ) -> None:
        self._folder = folder
        self._module = module
        self._noun = noun
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._depth = 0
        self._watcher: threading.Thread | None = None

    def start(self, request: Mapping[str, Any], *, enqueue: bool = False) -> dict[str, Any]:
        """Begin a job, or queue it behind the one that runs.

        Args:
            request: ``job.json`` as the worker reads it.
            enqueue: wait for the running one; otherwise a running one is an error.

        Returns:
            The task, as `breastlabel.label.tasks.task_of` describes it.

        Raises:
            RunningError: one runs already.
        """
        with self._exclusive():
            self._refuse_second(enqueue)
            job = self._job(f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}")
            job.folder.mkdir(parents=True)
            write_json(
                job.folder / "status.json",
                {"state": JobState.QUEUED, "progress": 0.0, "message": "waiting to start"},
            )
            # Last: a folder is a job as soon as it has this file.
            write_json(job.folder / "job.json", request)
            return self._begin(job)

    def resume(self, task_id: str, *, enqueue: bool = False) -> dict[str, Any]:
        """Let a job that ended early go on from what its worker left.

        Raises:
            NotFoundError: there is no such job, or it was removed since.
            ConflictError: it is done, or not over yet.
            RunningError: another one runs.
        """
        with self._exclusive():
            job = self._known(task_id)
            self._settle(job)
            state = job.state()["state"]
            if state not in (JobState.INTERRUPTED, JobState.FAILED, JobState.CANCELLED):
                raise ConflictError(
                    f"to go on, a {self._noun} must have ended early; {task_id} is {state}; begin another"
                )
            self._refuse_second(enqueue)
            job.wait_again("waiting to go on", automatic=False)
            return self._begin(job)

    def running(self) -> dict[str, Any] | None:
        """The task that runs or waits, None where there is none."""
        with self._lock:
            open_jobs = self._open()
            return task_of(open_jobs[0]) if open_jobs else None

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks that are kept, oldest first."""
        with self._lock:
            self._open()
            return [task_of(job) for job in self._jobs.values()]

    def latest(self) -> dict[str, Any] | None:
        """The task that runs; else the one asked for last; None where there was none ever."""
        with self._lock:
            running = self.running()
            return running or next((task_of(job) for job in reversed(self._jobs.values())), None)

    def stop(self) -> dict[str, Any] | None:
        """End the job that runs and forget those that wait; what was served before still serves.

        Returns:
            The task that was ended, None where none ran.
        """
        with self._exclusive():
            open_jobs = self._open()
            for job in open_jobs:
                job.note_process(stopping=True)
                self._settle(job)
                job.signal(signal.SIGTERM)
        for job in open_jobs:
            if not _wait_for_end(job, _GRACE):
                job.signal(signal.SIGKILL)
                _wait_for_end(job, _GRACE)
        with self._exclusive():
            for job in open_jobs:
                self._settle(job)
            return task_of(open_jobs[0]) if open_jobs else None

    def wait(self, task_id: str, timeout: float | None = None) -> dict[str, Any]:
        """Wait until a task is over.

        Raises:
            NotFoundError: there is no such task.
            TimeoutError: it is not over within ``timeout`` seconds.
        """
        job = self._known(task_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not job.is_over():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{self._noun} {task_id} is not over after {timeout:g} s")
            self._known(task_id)
            time.sleep(_POLL)
        return task_of(job)

    def stats(self, model: str) -> dict[str, Any]:
        """Figures of the model's newest job, as `stats_of` describes them; empty where there was none."""
        with self._lock:
            self._refresh()
            newest = reversed(self._jobs.values())
            job = next((job for job in newest if job.request().get("model") == model), None)
            return {} if job is None else stats_of(job)

    def log(self, task_id: str) -> list[str]:
        """The last lines that a worker printed.

        Raises:
            NotFoundError: there is no such task.
        """
        job = self._known(task_id)
        with contextlib.suppress(OSError):
            text = (job.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            return text.splitlines()[-_KEPT_LINES:]
        return []

    def watch(self) -> None:
        """Watch what runs, start what waits, and let go on what died, in a thread that ends with the work.

        Called once by the server when it starts, for the jobs that it found.
        """
        with self._lock:
            if self._watcher is None and self._open():
                self._prune()
                self._watcher = threading.Thread(target=self._loop, name=f"{self._noun}-jobs", daemon=True)
                self._watcher.start()

    def _begin(self, job: Job) -> dict[str, Any]:
        self._start_next()
        self._prune()
        self.watch()
        return task_of(job)

    def _refuse_second(self, enqueue: bool) -> None:
        if not enqueue and self._open():
            raise RunningError(
                f"one {self._noun} at a time; one is running; wait for it, stop it, or ask to enqueue"
            )

    def _open(self) -> list[Job]:
        """The jobs that are not over, oldest first, after a look at what became of them."""
        self._refresh()
        for job in list(self._jobs.values()):
            self._settle(job)
        return [job for job in self._jobs.values() if not job.is_over()]

    def _start_next(self) -> None:
        with self._exclusive():
            waiting = self._open()
            if waiting and not any(job.was_started() for job in waiting):
                waiting[0].start()

    def _settle(self, job: Job) -> None:
        """Decide on a job whose process is gone without a word."""
        if job.is_over() or job.alive():
            return
        if not job.process():
            return
        with self._exclusive():
            # Its worker may have said its last word, or another server may have acted, since the first look.
            if job.is_over() or job.alive():
                return
            known = job.process()
            if known.get("stopping"):
                job.note(state=JobState.CANCELLED, message=_CANCELLED)
            elif "pid" not in known:
                return
            elif not job.was_seen_alive() and not known.get("automatic"):
                job.wait_again("waiting to go on: its process ended while no server ran", automatic=True)
            else:
                state, how = job.how_it_ended()
                remedy = f'to let it go on, ask for a {self._noun} with {{"resume": "{job.id}"}}'
                job.note(state=state, message=f"{state}: {how}; {remedy}")

    def _refresh(self) -> None:
        """Know the folders that are there now: other servers add jobs, and remove old ones."""
        names = []
        with contextlib.suppress(FileNotFoundError):
            names = sorted(p.name for p in self._folder.iterdir() if not p.name.startswith("."))
        for name in names:
            if name not in self._jobs and (self._folder / name / "job.json").is_file():
                self._jobs[name] = self._job(name)
        self._jobs = {name: self._jobs[name] for name in names if name in self._jobs}

    def _job(self, name: str) -> Job:
        return self._jobs.get(name) or Job(self._folder / name, self._module)

    def _known(self, task_id: str) -> Job:
        with self._lock:
            self._refresh()
            if task_id not in self._jobs:
                raise NotFoundError(
                    f"a {self._noun} of this server is required; '{task_id}' is none; list them; the newest "
                    f"{_KEPT_JOBS} are kept"
                )
            return self._jobs[task_id]

    def _prune(self) -> None:
        """Remove all but the newest jobs that are over; their checkpoints are in the registry."""
        over = [job for job in self._jobs.values() if job.is_over()]
        for job in over[:-_KEPT_JOBS]:
            # First: what is left of a folder without it is no job any more.
            (job.folder / "job.json").unlink(missing_ok=True)
            shutil.rmtree(job.folder, ignore_errors=True)
            self._jobs.pop(job.id, None)

    def _loop(self) -> None:
        while True:
            time.sleep(_POLL)
            with self._lock:
                if not self._open():
                    self._watcher = None
                    return
                self._start_next()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Act alone, among this server's threads and among the servers on the folder."""
        with self._lock:
            if self._depth:
                yield
                return
            with alone(self._folder / ".lock"):
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1


def _wait_for_end(job: Job, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while job.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
