"""A real PostgreSQL server for tests: one a session, one empty database a test, and nothing left behind.

`database` runs a test twice, on SQLite and on PostgreSQL; `postgres_url` gives the address alone. Both skip,
with the reason, where PostgreSQL or its driver is not installed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["database", "postgres_server", "postgres_url"]

_START_SECONDS = 60.0
#: Of Debian's packages, newest first; other systems have the programs on PATH.
_DEBIAN = Path("/usr/lib/postgresql")
#: Settings that only save memory and time. ``fsync`` stays on: what is tested is durability.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "timezone": "UTC",
}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server's maintenance database; the server runs until the session ends."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Not under pytest's folder, whose parents only the user who runs the tests may enter.
    folder = Path(tempfile.mkdtemp(prefix="breastlabel-postgres-"))
    try:
        who = _unprivileged(folder)
        data = folder / "data"
        _make_cluster(programs / "initdb", data, who)
        with _running(programs / "postgres", data, folder / "log", who) as port:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of an empty database, dropped afterwards whoever is still connected."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield f"{postgres_server.rpartition('/')[0]}/{name}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test on each database: catalogs opened in it, and in its subprocesses, lie there.

    One database holds one studies folder; a test with two folders needs two databases.
    """
    if request.param == "postgresql":
        monkeypatch.setenv("BREASTLABEL_DATABASE_URL", request.getfixturevalue("postgres_url"))
    else:
        monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    return str(request.param)


def _programs() -> Path | None:
    installed = [p.parent for p in _DEBIAN.glob("*/bin/initdb") if (p.parent / "postgres").exists()]
    if installed:
        return max(installed, key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Arguments that start a process as an ordinary user; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _make_cluster(initdb: Path, data: Path, who: dict[str, Any]) -> None:
    done = subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
        **who,
    )
    if done.returncode:
        pytest.fail(f"initdb failed: {done.stderr[-2000:]}")


@contextlib.contextmanager
def _running(postgres: Path, data: Path, log: Path, who: dict[str, Any]) -> Iterator[int]:
    # The server goes with the tests even where they are killed and no fixture is torn down.
    tied = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
    for _ in range(5):
        port = _free_port()
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*tied, postgres, "-D", data, "-p", str(port), *options],
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
                **who,
            )
        try:
            if _answers(process, port):
                yield port
                return
        finally:
            # Immediate shutdown: nothing is left that anyone wants to keep.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGQUIT)
            process.wait(timeout=_START_SECONDS)
    pytest.fail(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Waits for the server; False where it ended, which it does when another took the port meanwhile."""
    import psycopg

    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres").close()
            return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
