"""The stages of a prediction: how long each took, and where it may be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from breastlabel.errors import StoppedError

__all__ = ["Stages"]


class Stages:
    """Seconds by stage; between them the caller may stop the work."""

    def __init__(self, stop: Callable[[], bool] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._stop = stop
        self._name = ""
        self._started = 0.0

    def __call__(self, name: str) -> Stages:
        """Begin a stage, as a context.

        Raises:
            StoppedError: the caller asked to stop.
        """
        if self._stop is not None and self._stop():
            raise StoppedError("the prediction was stopped on request; ask again for an answer")
        self._name = name
        return self

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self._name] = time.perf_counter() - self._started
