"""A real server process, as a site starts it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Server", "running"]

_APP = Path(__file__).parents[1] / "apps" / "breast" / "main.py"
_PATIENCE = 300.0


class Server(NamedTuple):
    """One that answers.

    Attributes:
        url: without a slash at its end.
        pid: of its process.
        seconds: from the start of the process until ``GET /info/`` answered.
    """

    url: str
    pid: int
    seconds: float


@contextlib.contextmanager
def running(studies: Path, folder: Path, *conf: str) -> Iterator[Server]:
    """``monailabel start_server`` over a studies folder, until the end of the context.

    Args:
        folder: for the app and its log; made here.
        conf: further arguments.
    """
    app = folder / "app"
    app.mkdir(parents=True)
    shutil.copy(_APP, app)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
    command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port), *conf]
    environment = {**os.environ, "MONAI_LABEL_SESSION_PATH": str(folder / "sessions")}
    started = time.perf_counter()
    with open(folder / "log.txt", "wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            if server.poll() is not None or time.perf_counter() - started > _PATIENCE:
                log_end = (folder / "log.txt").read_text(errors="replace")[-800:]
                raise RuntimeError(f"the server did not answer; its log ends: {log_end}")
            time.sleep(0.02)
        yield Server(url, server.pid, time.perf_counter() - started)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/info/", timeout=60) as answer:
        answer.read()
        return True
    return False
