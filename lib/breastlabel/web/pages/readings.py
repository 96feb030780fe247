"""Readings that somebody asked for on the reading page: they wait, run one at a time, and are forgotten soon.

An upload lies in a temporary folder of this process and nowhere else. It is removed when the page lets go of
it, an hour after it was last asked for, and when the server ends; what a killed server left is removed by the
next.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from breastlabel.errors import BreastLabelError, NotFoundError, StoppedError
from breastlabel.label.errors import BusyError
from breastlabel.label.logs import trace_of

__all__ = ["Reading", "ReadingState", "Readings"]

logger = logging.getLogger(__name__)

_PREFIX = "breastlabel-readings-"
_LEFT_BEHIND = re.compile(re.escape(_PREFIX) + r"(\d+)-")
_ID = re.compile(r"[0-9a-f]{32}")


class ReadingState(StrEnum):
    """What became of a reading."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(eq=False)
class Reading:
    """One image that is to be read.

    Attributes:
        id: by which the page asks for it; nobody can guess it.
        folder: holds the upload and what came of it; its own.
        owner: the login's user, None where there is no login.
        stage: what is being done now, in words.
        reason: why it failed, one line.
        result: what the page shows, plain JSON values; None until it is done.
        asked: what is to be done, for the function that does it.
    """

    id: str
    folder: Path
    owner: str | None
    state: ReadingState = ReadingState.WAITING
    stage: str = "waiting"
    reason: str | None = None
    result: Mapping[str, Any] | None = None
    asked: Any = None
    touched: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "id": self.id,
            "state": self.state.value,
            "stage": self.stage,
            "reason": self.reason,
            "result": self.result,
        }


class Readings:
    """Those of this process.

    Args:
        run: reads one in a thread of its own; it sets ``stage``, looks at ``stop``, and returns the result.
        most: how many are held; the oldest that is done makes room.
        seconds: how long one is held after it was last asked for.
    """

    def __init__(
        self, run: Callable[[Reading], Mapping[str, Any]], *, most: int = 64, seconds: float = 3600.0
    ) -> None:
        self._run = run
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, Reading] = {}
        self._queue: queue.Queue[Reading | None] = queue.Queue()
        self._root: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        _remove_left_behind()

    def new(self, owner: str | None) -> Reading:
        """A reading with an empty folder; it does not wait before `start`.

        Raises:
            BusyError: as many as are held wait or run.
        """
        with self._lock:
            self._forget_old()
            if len(self._held) >= self._most:
                over = [r for r in self._held.values() if r.state in (ReadingState.DONE, ReadingState.FAILED)]
                if not over:
                    raise BusyError(
                        f"at most {self._most} readings may wait; as many do; try again in a moment"
                    )
                self._forget(min(over, key=lambda r: r.touched))
            if self._root is None:
                self._root = tempfile.TemporaryDirectory(
                    prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
                )
            name = secrets.token_hex(16)
            folder = Path(self._root.name) / name
            folder.mkdir(mode=0o700)
            reading = self._held[name] = Reading(name, folder, owner)
            return reading

    def start(self, reading: Reading) -> None:
        """Let it wait for its turn."""
        with self._lock:
            self._queue.put(reading)
            # Not before there is work: a process may build the app only to ask it something, or to fork.
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="readings", daemon=True)
                self._thread.start()

    def get(self, reading_id: str, owner: str | None) -> Reading:
        """One that is held.

        Raises:
            NotFoundError: there is none of this id, or it is another user's.
        """
        with self._lock:
            self._forget_old()
            reading = self._held.get(reading_id) if _ID.fullmatch(reading_id) else None
            if reading is None or reading.owner != owner:
                raise NotFoundError(
                    "a reading that is held is required; this one was let go of; read the image again"
                )
            reading.touched = time.monotonic()
            return reading

    def remove(self, reading: Reading) -> None:
        """Stop it where it is under way, and forget it with its files."""
        with self._lock:
            self._forget(reading)

    def close(self, seconds: float = 20.0) -> None:
        """Stop what is under way, forget all that is held, and end the thread."""
        with self._lock:
            # The newest first: when the one under way stops, none that waits may begin.
            for reading in reversed(list(self._held.values())):
                self._forget(reading)
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(seconds)
        with self._lock:
            if self._root is not None:
                self._root.cleanup()
                self._root = None

    def _forget(self, reading: Reading) -> None:
        reading.stop.set()
        self._held.pop(reading.id, None)
        # One under way still writes; the thread removes what it left.
        shutil.rmtree(reading.folder, ignore_errors=True)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for reading in list(self._held.values()):
            idle = now - reading.touched > self._seconds
            if idle and reading.state in (ReadingState.DONE, ReadingState.FAILED):
                self._forget(reading)

    def _work(self) -> None:
        while (reading := self._queue.get()) is not None:
            if not reading.stop.is_set():
                self._read(reading)
            if reading.stop.is_set():
                shutil.rmtree(reading.folder, ignore_errors=True)

    def _read(self, reading: Reading) -> None:
        reading.state = ReadingState.RUNNING
        try:
            reading.result = self._run(reading)
            reading.state, reading.stage = ReadingState.DONE, "done"
        except StoppedError:
            reading.state, reading.reason = ReadingState.FAILED, "it was stopped"
        except BreastLabelError as error:
            reading.state, reading.reason = ReadingState.FAILED, str(error)
        except Exception as error:
            if not reading.stop.is_set():
                logger.error("a reading failed\n%s", trace_of(error))
            reading.state = ReadingState.FAILED
            reading.reason = f"the server failed ({type(error).__name__}); its log says more"


def _remove_left_behind() -> None:
    """Folders of servers that do not run any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        found = _LEFT_BEHIND.match(folder.name)
        if found and not psutil.pid_exists(int(found[1])):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
