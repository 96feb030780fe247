"""A real PACS for tests: Debian's Orthanc with its DICOMweb plugin, and nothing left behind.

`orthanc` is one that the tests of a module share; `running_orthanc` starts one as a test wants it, also on
the storage and port of an earlier one. Both skip, with the reason, where Orthanc or its plugin is not there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

__all__ = ["Orthanc", "orthanc", "running_orthanc"]

_START_SECONDS = 60.0
_PLUGINS = (
    Path("/usr/share/orthanc/plugins"),
    Path("/usr/lib/orthanc"),
    Path("/usr/local/share/orthanc/plugins"),
)
_PROGRAMS = ("Orthanc", "/usr/sbin/Orthanc")


class Orthanc:
    """A running server, and what tests ask of it without DICOMweb."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, folder: Path, user: tuple[str, str] | None
    ):
        self.process = process
        self.port = port
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}"
        self.dicom_web = f"{self.address}/dicom-web"
        self.session = requests.Session()
        self.session.auth = user

    def store(self, data: bytes) -> str:
        """Put a DICOM file into it as its own interface does; Orthanc's id of the instance."""
        answer = self.session.post(f"{self.address}/instances", data=data, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ID"])

    def store_folder(self, folder: Path) -> list[str]:
        """Every ``*.dcm`` of a folder."""
        return [self.store(path.read_bytes()) for path in sorted(folder.glob("*.dcm"))]

    def get(self, path: str) -> Any:
        """The JSON at a path of its own interface."""
        answer = self.session.get(self.address + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, path: str) -> None:
        """Remove a patient, study, series or instance."""
        assert self.session.delete(self.address + path, timeout=30).status_code == 200

    def kill(self) -> None:
        """As a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An empty one for the tests of a module, without a login."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@contextlib.contextmanager
def running_orthanc(
    folder: Path, *, users: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Orthanc]:
    """Orthanc on the loopback interface.

    Args:
        folder: for its storage, configuration and log; one that was used before is taken up again.
        users: names and passwords that it asks for; None lets everyone in.
        port: as an earlier one had; else a free one.
    """
    program, plugin = _installed()
    for _ in range(1 if port else 5):
        chosen = port or _free_port()
        file = _configured(folder, plugin, chosen, users)
        # The server goes with the tests even where they are killed and no fixture is torn down.
        tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*tied, program, str(file)], stdout=log, stderr=subprocess.STDOUT, cwd=folder
            )
        server = Orthanc(process, chosen, folder, next(iter(users.items()), None) if users else None)
        try:
            if _answers(server):
                yield server
                return
        finally:
            server.kill()
    pytest.fail(f"Orthanc did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def _installed() -> tuple[str, Path]:
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    plugin = next((p for folder in _PLUGINS if (p := folder / "libOrthancDicomWeb.so").exists()), None)
    if program is None or plugin is None:
        pytest.skip(
            "Orthanc with DICOMweb is not installed (Debian: apt-get install orthanc orthanc-dicomweb)"
        )
    return program, plugin


def _configured(folder: Path, plugin: Path, port: int, users: Mapping[str, str] | None) -> Path:
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "breastlabel-test",
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "Plugins": [str(plugin)],
        "HttpServerEnabled": True,
        "HttpPort": port,
        # Elsewhere than on this machine it answers nobody.
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": bool(users),
        "RegisteredUsers": dict(users or {}),
        "SslEnabled": False,
        "KeepAlive": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


def _answers(server: Orthanc) -> bool:
    """Waits for the server; False where it ended, which it does when another took the port meanwhile."""
    deadline = time.monotonic() + _START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if server.session.get(f"{server.address}/system", timeout=5).status_code == 200:
                return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
