"""What commands show: results on stdout, progress on stderr where a person watches it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Report", "note", "print_json", "print_table", "progress"]

#: Called with (what is being done, how many are done, of how many).
Report = Callable[[str, int, int], None]


def note(message: str) -> None:
    """One line to the user on stderr, so that stdout stays a result."""
    print(f"breastlabel: {' '.join(message.split())}", file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print a result for programs; keys keep their order."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, readable in a terminal and in a file."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    for line in (header, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """A progress bar for each thing that is reported, on stderr and only if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report
