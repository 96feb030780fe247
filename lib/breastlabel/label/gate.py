"""How many inferences run at once, and how many may wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from breastlabel.label.errors import BusyError

__all__ = ["InferenceGate"]


class InferenceGate:
    """Lets a few inferences run and a few more wait; refuses the rest at once.

    Without a limit to those that wait, a burst of requests would take every thread of the server and
    leave none to answer ``GET /info/``.
    """

    def __init__(self, *, running: int = 1, waiting: int = 16, timeout: float = 600.0) -> None:
        self._slots = threading.BoundedSemaphore(running)
        self._limit = running + waiting
        self._timeout = timeout
        self._present = 0
        self._lock = threading.Lock()

    @property
    def present(self) -> int:
        """How many inferences run or wait. Work that nobody waits for begins only where there is none."""
        return self._present

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Wait for a slot and hold it.

        Raises:
            BusyError: too many wait already, or no slot came free in time.
        """
        with self._lock:
            if self._present >= self._limit:
                raise BusyError(f"at most {self._limit} inferences may run or wait; try again in a moment")
            self._present += 1
        try:
            if not self._slots.acquire(timeout=self._timeout):
                raise BusyError(f"no inference ended within {self._timeout:g} s; try again later")
            try:
                yield
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._present -= 1
