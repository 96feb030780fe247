"""Two or more ways of doing the same work, timed by turns, because a machine's speed drifts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["alternately", "milliseconds"]


def alternately(
    ways: Mapping[str, Callable[[], object]], *, repeats: int, warm_up: int = 1
) -> dict[str, float]:
    """The median seconds of each way, all run by turns.

    Args:
        ways: name to what is to be timed; run in the order given, which is turned round every second time.
        repeats: timed runs of each.
        warm_up: runs of each that do not count.
    """
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warm_up, repeats):
        for name in names if turn % 2 else reversed(names):
            started = time.perf_counter()
            ways[name]()
            if turn >= 0:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def milliseconds(seconds: float) -> str:
    """For people."""
    return f"{1000 * seconds:.3g} ms"
