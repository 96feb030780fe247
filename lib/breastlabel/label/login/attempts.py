"""Holds up whoever guesses passwords."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

__all__ = ["Attempts"]


class Attempts:
    """Counts failed logins by a key (the name, the machine), and says when it was too many.

    Args:
        most: failures within ``seconds`` after which further tries are refused unlooked.
        keys: how many keys are remembered; the oldest are forgotten first.
    """

    def __init__(self, *, most: int = 10, seconds: float = 300.0, keys: int = 10_000) -> None:
        self._most, self._seconds, self._keys = most, seconds, keys
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, *keys: str) -> float:
        """Seconds until another try with all of these keys is looked at; 0: it is at once."""
        now = time.monotonic()
        with self._lock:
            return max((self._seconds_left(key, now) for key in keys), default=0.0)

    def failed(self, *keys: str) -> None:
        """A try with these keys went wrong."""
        now = time.monotonic()
        with self._lock:
            for key in keys:
                self._failed.setdefault(key, deque(maxlen=self._most)).append(now)
                self._failed.move_to_end(key)
            while len(self._failed) > self._keys:
                self._failed.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget what went wrong with these keys."""
        with self._lock:
            for key in keys:
                self._failed.pop(key, None)

    def _seconds_left(self, key: str, now: float) -> float:
        times = self._failed.get(key)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._seconds - now)
