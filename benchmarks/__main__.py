"""Runs the benchmarks and prints one table; exits with 1 where a bar is not held.

python -m benchmarks
python -m benchmarks --only catalog,start-up --images 5000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import catalog, crash, decoding, memory, request, scoring, start_up, training_step
from benchmarks.results import Row, print_rows, to_json

_PARTS: dict[str, Callable[[int], list[Row]]] = {
    "catalog": lambda images: catalog.rows(images=images),
    "crash": lambda images: crash.rows(),
    "decoding": lambda images: decoding.rows(),
    "request": lambda images: request.rows(),
    "scoring": lambda images: scoring.rows(),
    "memory": lambda images: memory.rows(images=images),
    "training-step": lambda images: training_step.rows(),
    "start-up": lambda images: start_up.rows(images=images),
}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the speed claims beside the stock platform.")
    parser.add_argument("--images", type=int, default=50_000, help="images in the large catalog (50000)")
    parser.add_argument("--only", default=",".join(_PARTS), help=f"parts: {', '.join(_PARTS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked = parser.parse_args(arguments)
    parts = [part.strip() for part in asked.only.split(",") if part.strip()]
    for part in parts:
        if part not in _PARTS:
            parser.error(f"--only must name parts of {', '.join(_PARTS)}; got '{part}'")
    rows: list[Row] = []
    for part in parts:
        started = time.perf_counter()
        print(f"{part} ...", end=" ", file=sys.stderr, flush=True)
        rows += _PARTS[part](asked.images)
        print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(to_json(rows)) if asked.json else print_rows(rows)
    return 1 if any(row.held is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
