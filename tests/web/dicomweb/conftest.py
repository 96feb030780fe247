"""A folder of images of several kinds behind the routes of the archive, in this process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from breastlabel.catalog import Catalog
from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.catalog.folder import take_in
from breastlabel.label.errors import add_error_handlers
from breastlabel.web.dicomweb.archive import Archive
from breastlabel.web.dicomweb.routes import router

ANY_FRAME = "multipart/related; type=application/octet-stream; transfer-syntax=*"
"""As OHIF asks for frames."""


class Part(NamedTuple):
    headers: dict[str, str]
    content: bytes


class Site:
    """A studies folder with its archive, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog.open(folder, create=True)
        self.archive = Archive(self.catalog)
        server = FastAPI()
        add_error_handlers(server)
        app: Any = SimpleNamespace(catalog=self.catalog, archive=self.archive, conf={})
        server.include_router(router(app))
        self.client = TestClient(server, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)

    def instance(self, image_id: str) -> DicomInstance:
        """Of an image whose file lies in the folder."""
        if not self.catalog.has_image(image_id):
            take_in(self.catalog, [path.name for path in self.folder.glob(f"{image_id}.*")])
        found = self.catalog.dicom.of_image(image_id)
        assert found is not None
        return found

    def path(self, image_id: str) -> str:
        return path_of(self.instance(image_id))

    def get(self, path: str, accept: str | None = None, **query: str) -> httpx.Response:
        headers = {} if accept is None else {"accept": accept}
        return self.client.get(f"/dicom-web{path}", headers=headers, params=query)

    def stow(self, files: Sequence[bytes], path: str = "/studies", **headers: str) -> httpx.Response:
        boundary = secrets.token_hex(8)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        return self.client.post(f"/dicom-web{path}", content=body, headers={"content-type": kind, **headers})


def path_of(instance: DicomInstance) -> str:
    """The URL of an instance, below the archive's."""
    study, series = instance.study_instance_uid, instance.series_instance_uid
    return f"/studies/{study}/series/{series}/instances/{instance.sop_instance_uid}"


def parts(answer: httpx.Response) -> list[Part]:
    """The parts of a multipart answer, taken apart by their announced lengths."""
    assert answer.status_code == 200, answer.text
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind.startswith("multipart/related")
    rest, mark, found = answer.content, f"--{boundary}".encode(), []
    while not rest.startswith(mark + b"--"):
        assert rest.startswith(mark + b"\r\n")
        head, _, rest = rest[len(mark) + 2 :].partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        size = int(headers["Content-Length"])
        found.append(Part(headers, rest[:size]))
        assert rest[size : size + 2] == b"\r\n"
        rest = rest[size + 2 :]
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path / "studies")
    yield opened
    opened.catalog.close()
