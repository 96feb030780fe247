"""How much longer the server starts with 50,000 images known than with 100."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.folders import studies_of
from benchmarks.results import Row, at_most
from benchmarks.servers import running

__all__ = ["rows"]

_FEW = 100


def rows(*, images: int = 50_000, turns: int = 3) -> list[Row]:
    """The start-up row: seconds from the start of the process until ``GET /info/`` answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The catalog learns of the images here, so that the servers find them known.
        studies = {n: studies_of(folder / f"studies-{n}", n) for n in (_FEW, images)}
        times: dict[int, list[float]] = {n: [] for n in studies}
        for turn in range(turns):
            for n in studies if turn % 2 else reversed(studies):
                times[n].append(_seconds_to_answer(studies[n], folder / f"run-{n}-{turn}"))
    few, many = (statistics.median(times[n]) for n in (_FEW, images))
    return [
        at_most(
            f"start apps/breast, {images:,} images known",
            f"{many:.1f} s",
            f"{_FEW} images {few:.1f} s",
            many - few,
            1.0,
            unit=" s more",
        )
    ]


def _seconds_to_answer(studies: Path, folder: Path) -> float:
    with running(studies, folder) as server:
        return server.seconds
