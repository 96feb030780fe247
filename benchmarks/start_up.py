"""How much longer the server starts with 50,000 images known than with 100."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.folders import studies_of
from benchmarks.results import Row, at_most

__all__ = ["rows"]

_APP = Path(__file__).parents[1] / "apps" / "breast" / "main.py"
_FEW, _PATIENCE = 100, 300.0


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
    app = folder / "app"
    app.mkdir(parents=True)
    shutil.copy(_APP, app)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
    command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MONAI_LABEL_SESSION_PATH": str(folder / "sessions")}
    started = time.perf_counter()
    with open(folder / "log.txt", "wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment, start_new_session=True
        )
    try:
        while time.perf_counter() - started < _PATIENCE:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/info/", timeout=60) as answer,
            ):
                answer.read()
                return time.perf_counter() - started
            if server.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(
            f"the server did not answer; its log ends: {(folder / 'log.txt').read_text()[-800:]}"
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
