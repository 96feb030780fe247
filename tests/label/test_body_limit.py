from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import FastAPI, Form, UploadFile
from fastapi.testclient import TestClient

from breastlabel.label.app import BreastLabelApp
from breastlabel.label.body_limit import MOST_BYTES, MOST_BYTES_OF_LOGIN, BodyLimit
from breastlabel.label.server import build_server


@pytest.fixture
def client() -> Iterator[TestClient]:
    server = FastAPI()
    server.add_middleware(BodyLimit, most=100, most_of_files=1000)

    @server.post("/options")
    def options(params: dict[str, str]) -> int:
        return len(params["text"])

    @server.post("/file")
    def upload(file: UploadFile) -> int:
        return len(file.file.read())

    with TestClient(server) as asking:
        yield asking


def test_small_bodies_pass(client: TestClient) -> None:
    assert client.post("/options", json={"text": "x" * 50}).json() == 50
    assert client.post("/file", files={"file": b"x" * 500}).json() == 500


def test_large_ones_are_refused_with_the_limit(client: TestClient) -> None:
    answer = client.post("/options", json={"text": "x" * 100})
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a request of at most 100 bytes is required")
    assert client.post("/file", files={"file": b"x" * 1000}).status_code == 413


def test_a_body_of_unknown_length_is_counted(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(10):
            yield b"x" * 20
        yield b'"}'

    answer = client.post("/options", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/login", "/auth/token", "/logout"])
def test_before_a_login_only_a_name_and_a_password_are_taken(path: str) -> None:
    server = FastAPI()
    server.add_middleware(BodyLimit)

    @server.post(path)
    def check(name: Annotated[str, Form()] = "", file: UploadFile | None = None) -> int:
        return len(name)

    with TestClient(server) as asking:
        assert asking.post(path, data={"name": "x" * 200}).json() == 200
        assert asking.post(path, data={"name": "x" * MOST_BYTES_OF_LOGIN}).status_code == 413
        large = {"file": b"x" * MOST_BYTES_OF_LOGIN}
        assert asking.post(path, data={"name": "x"}, files=large).status_code == 413


def test_the_server_has_a_limit(app: BreastLabelApp) -> None:
    with TestClient(
        build_server(app), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)
    ) as client:
        asked = client.post("/activelearning/random", json={"note": "x" * MOST_BYTES})
    assert asked.status_code == 413
