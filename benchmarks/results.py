"""What a benchmark found: rows with a figure, the bar that it must hold, and one table of them all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

__all__ = ["Row", "at_least", "at_most", "print_rows", "skipped", "to_json"]

_HEADER = ("WORK", "OURS", "AGAINST", "FIGURE", "BAR", "")


@dataclass(frozen=True)
class Row:
    """One claim.

    Attributes:
        work: what was done.
        ours: our measurement, with its unit.
        against: what it is compared with, and its measurement.
        figure: the compared figure, mostly a ratio; None where it could not be taken here.
        bar: what the figure must be, in words; where it could not be taken, why not.
        held: whether it is; None where it could not be taken.
    """

    work: str
    ours: str
    against: str
    figure: float | None
    bar: str
    held: bool | None


def at_least(work: str, ours: str, against: str, figure: float, bar: float, *, unit: str = "x") -> Row:
    """A row whose figure must not be smaller than the bar."""
    return Row(work, ours, against, figure, f">= {bar:g}{unit}", figure >= bar)


def at_most(work: str, ours: str, against: str, figure: float, bar: float, *, unit: str = "x") -> Row:
    """A row whose figure must not be larger than the bar."""
    return Row(work, ours, against, figure, f"<= {bar:g}{unit}", figure <= bar)


def skipped(work: str, reason: str) -> Row:
    """A row that this machine cannot measure."""
    return Row(work, "", "", None, reason, None)


def print_rows(rows: Iterable[Row]) -> None:
    """One table; the last column says what held."""
    lines: list[Sequence[str]] = [_HEADER]
    verdicts = {True: "held", False: "NOT HELD", None: "not measured"}
    for row in rows:
        figure = "" if row.figure is None else f"{row.figure:.3g}"
        lines.append((row.work, row.ours, row.against, figure, row.bar, verdicts[row.held]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def to_json(rows: Iterable[Row]) -> str:
    """The rows for programs."""
    return json.dumps([asdict(row) for row in rows], indent=2)
