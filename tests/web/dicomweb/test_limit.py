"""How much one request may store."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from breastlabel.errors import StudiesError
from breastlabel.label.body_limit import ARCHIVE_LIMIT, BodyLimit, most_bytes_of_archive

FORM = {"content-type": 'multipart/related; type="application/dicom"; boundary=x'}


def answers(monkeypatch: pytest.MonkeyPatch, gib: str, path: str, size: int) -> int:
    monkeypatch.setenv(ARCHIVE_LIMIT, gib)
    server = FastAPI()
    server.add_middleware(BodyLimit, most=100, most_of_files=1000)

    @server.post("/{path:path}")
    async def read(path: str, request: Request) -> int:
        return len(await request.body())

    with TestClient(server) as client:
        return client.post(path, content=b"x" * size, headers=FORM).status_code


def test_an_archive_takes_more_than_a_form_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(monkeypatch, "1", "/dicom-web/studies", 5000) == 200
    assert answers(monkeypatch, "1", "/dicom-web/studies/1.2", 5000) == 200
    assert answers(monkeypatch, "1", "/elsewhere", 5000) == 413


def test_the_site_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(monkeypatch, "0.000001", "/dicom-web/studies", 5000) == 413
    monkeypatch.setenv(ARCHIVE_LIMIT, "")
    assert most_bytes_of_archive() == 8 * 2**30


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(ARCHIVE_LIMIT, text)
    with pytest.raises(StudiesError, match=ARCHIVE_LIMIT):
        most_bytes_of_archive()
