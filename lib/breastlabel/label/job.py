"""One background job: its folder, and the process that works on it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.jobs import OVER, JobState, read_json
from breastlabel.jobs.lock import is_held
from breastlabel.jobs.worker import TAKEN

__all__ = ["Job", "write_json"]

_VMSTAT = Path("/proc/vmstat")


@dataclass
class Job:
    """A folder with ``job.json``, ``status.json``, ``log.txt`` and ``process.json``.

    ``process.json`` holds which process works on it (``pid``, ``created``, ``host``), how many did so far
    (``attempts``), how many of them a server started by itself after a death (``automatic``), and whether the
    job was asked to end (``stopping``). It is the servers' file; ``status.json`` is the worker's.
    """

    folder: Path
    #: The worker's module, run as ``python -m MODULE --job FOLDER``.
    module: str
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    #: Whether this server saw its process at work; the number of kills for want of memory by then.
    _seen: bool = field(default=False, repr=False)
    _kills: int | None = field(default=None, repr=False)
    #: When the status was written that is known to be an end.
    _over_since: int | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The folder's name: when it was asked for, and four random letters."""
        return self.folder.name

    def request(self) -> dict[str, Any]:
        """What was asked for."""
        return read_json(self.folder / "job.json")

    def state(self) -> dict[str, Any]:
        """The latest word on it; ``state`` is one of `JobState`."""
        return {"state": JobState.QUEUED, **read_json(self.folder / "status.json")}

    def process(self) -> dict[str, Any]:
        """What ``process.json`` says."""
        return read_json(self.folder / "process.json")

    def is_over(self) -> bool:
        """Whether it ended, one way or another."""
        try:
            written = (self.folder / "status.json").stat().st_mtime_ns
        except OSError:
            return False
        # Of an end the file is not read again and again, until somebody resumes the job.
        if written != self._over_since:
            self._over_since = written if self.state()["state"] in OVER else None
        return self._over_since is not None

    def was_started(self) -> bool:
        """Whether a process was started for it, by this server or another, and it does not wait again."""
        return "pid" in self.process()

    def was_seen_alive(self) -> bool:
        """Whether this server saw its process at work."""
        return self._seen

    def alive(self) -> bool:
        """Whether its process runs, be it this server's child, another server's, or on another machine."""
        alive = self._runs_here() or is_held(self.folder / "lock")
        if alive and not self._seen:
            self._seen, self._kills = True, _memory_kills()
        return alive

    def start(self) -> None:
        """Start a worker in a session of its own, so that it does not end with the server."""
        known = self.process()
        try:
            with open(self.folder / "log.txt", "ab") as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", self.module, "--job", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self.note(state=JobState.FAILED, message=f"its process could not be started ({error.strerror})")
            return
        self._seen, self._kills = True, _memory_kills()
        self.note_process(
            pid=self._child.pid,
            created=_created(self._child.pid),
            host=platform.node(),
            attempts=int(known.get("attempts", 0)) + 1,
            automatic=int(known.get("automatic", 0)),
        )

    def wait_again(self, message: str, *, automatic: bool) -> None:
        """Let it wait for a process once more; the worker goes on from what the one before left.

        Args:
            automatic: the server does so by itself, which `process` counts.
        """
        known = self.process()
        self.note(state=JobState.QUEUED, message=message)
        count = int(known.get("automatic", 0)) + 1 if automatic else 0
        self._write_process({"attempts": int(known.get("attempts", 0)), "automatic": count})
        self._child, self._seen = None, False

    def signal(self, number: int) -> None:
        """Send a signal to the worker and its children, where they run on this machine."""
        process = self._own_process()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def note(self, **values: Any) -> None:
        """Write the status in the worker's stead, when it cannot any more or not yet."""
        write_json(self.folder / "status.json", {**self.state(), **values})

    def note_process(self, **values: Any) -> None:
        """Write these values into ``process.json``, beside those there."""
        self._write_process({**self.process(), **values})

    def how_it_ended(self) -> tuple[JobState, str]:
        """The state for one whose process is gone without a word, and what is known of its end."""
        code = None if self._child is None else self._child.poll()
        if code is not None and code > 0 and code != TAKEN:
            return (
                JobState.FAILED,
                f"its process ended with code {code} before the work did; its log says why",
            )
        memory = self._kills is not None and (_memory_kills() or 0) > self._kills
        hint = ", most likely for want of memory" if memory and code in (None, -signal.SIGKILL) else ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return (
                    JobState.INTERRUPTED,
                    f"its process was ended by signal {-code} ({signal.Signals(-code).name}){hint}",
                )
        return JobState.INTERRUPTED, f"its process ended before its work{hint}"

    def _write_process(self, values: Mapping[str, Any]) -> None:
        write_json(self.folder / "process.json", values)

    def _runs_here(self) -> bool:
        if self._child is not None:
            # Asking it also takes it away: a child that ended stays a zombie until then, and one whose
            # threads are still ending looks like one.
            return self._child.poll() is None
        return self._own_process() is not None

    def _own_process(self) -> psutil.Process | None:
        """The worker, where it runs here and its number did not go to some other program since."""
        known = self.process()
        if "pid" not in known or known.get("host", platform.node()) != platform.node():
            return None
        try:
            process = psutil.Process(int(known["pid"]))
            same = abs(process.create_time() - float(known["created"])) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, KeyError, ValueError):
            return None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a job's file, atomically and on disk."""
    write_bytes_atomically(path, (json.dumps(dict(values), default=str) + "\n").encode())


def _created(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _memory_kills() -> int | None:
    """How many processes Linux ended for want of memory since it started; None where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in _VMSTAT.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None
