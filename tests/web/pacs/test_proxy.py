"""What passes between viewers and a PACS, and what does not."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from breastlabel.findings.dicom_identity import our_uid
from breastlabel.label.errors import add_error_handlers
from breastlabel.web.pacs import proxy

from .web_server import Fake

JSON = {"Content-Type": "application/dicom+json"}
STOW = 'multipart/related; type="application/dicom"; boundary=b0undary'
SHOWN, HIDDEN = our_uid("SEG series", "read"), our_uid("SEG series", "unread")
BODY = b"--b0undary\r\nContent-Type: application/dicom\r\n\r\ncontent\r\n--b0undary--"


class Proxy:
    """The routes alone, before a server whose answers the test writes."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.stored: list[tuple[bytes, str, bytes]] = []
        settings = fake.settings(USERNAME="alice", PASSWORD="kept-secret", TIMEOUT="4")
        app = FastAPI()
        add_error_handlers(app)
        pacs: Any = SimpleNamespace(settings=settings, name="here", on_close=[], take_stored=self._stored)
        self.own: Any = SimpleNamespace(is_on=False, shown=self._shown)
        app.include_router(proxy.router(pacs, self.own))
        self.client = TestClient(app, base_url="http://reader.example.org")

    def _stored(self, message: Any, boundary: str, answer: bytes) -> None:
        message.seek(0)
        self.stored.append((message.read(), boundary, answer))

    def _shown(self, study: str | None) -> frozenset[str]:
        return frozenset({SHOWN}) if study == "1.2" else frozenset()

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(f"/dicom-web/{path}", **options)


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    yield server
    server.close()


@pytest.fixture
def through(fake: Fake) -> Iterator[Proxy]:
    proxied = Proxy(fake)
    with proxied.client:
        yield proxied


def test_the_pacs_hears_the_question_and_the_servers_credentials_alone(through: Proxy) -> None:
    through.fake.answer = lambda path: (200, JSON, b"[]")
    query = "PatientName=D%C3%B6e*&includefield=00081030&includefield=all&limit=5"
    headers = {
        "Authorization": "Bearer the-viewers",
        "Cookie": "session=the-viewers",
        "Origin": "http://reader.example.org",
        "X-Forwarded-For": "10.0.0.1",
        "If-None-Match": '"tag"',
    }
    assert through.get(f"studies?{query}", headers=headers).json() == []
    ((path, got),) = through.fake.requests
    assert path == f"/dicom-web/studies?{query}"
    assert got["authorization"] == "Basic YWxpY2U6a2VwdC1zZWNyZXQ="
    assert got["if-none-match"] == '"tag"'
    assert got["accept"] == "application/dicom+json"
    assert not {"cookie", "origin", "x-forwarded-for", "referer"} & got.keys()
    assert "the-viewers" not in str(got)


def test_the_viewer_hears_the_answer_and_nothing_of_the_pacs(through: Proxy) -> None:
    told = json.dumps([{"00081190": {"vr": "UR", "Value": [f"{through.fake.url}/studies/1.2"]}}])
    private = {
        "Set-Cookie": "pacs=1",
        "WWW-Authenticate": "Basic",
        "Server": "Pacs/1.0",
        "X-Powered-By": "Pacs",
    }
    through.fake.answer = lambda path: (200, {**JSON, "ETag": '"7"', **private}, told.encode())
    answer = through.get("studies")
    assert answer.json()[0]["00081190"]["Value"] == ["http://reader.example.org/dicom-web/studies/1.2"]
    assert answer.headers["etag"] == '"7"'
    assert answer.headers["cache-control"] == "private"
    # Were it HTML that somebody stored there, it would not run as a page of ours.
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (
        not {"set-cookie", "www-authenticate", "server", "x-powered-by", "content-length"}
        & answer.headers.keys()
    )


def test_pixels_come_byte_for_byte_with_their_length(through: Proxy) -> None:
    pixels = bytes(range(256)) * 4000
    through.fake.answer = lambda path: (200, {"Content-Type": "application/octet-stream"}, pixels)
    answer = through.get("studies/1.2/series/3.4/instances/5.6/frames/1")
    assert answer.content == pixels
    assert answer.headers["content-length"] == str(len(pixels))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (400, 400),
        (404, 404),
        (406, 406),
        (401, 502),
        (403, 502),
        (302, 502),
        (500, 502),
        (503, 503),
        (429, 503),
    ],
)
def test_a_refusal_is_told_without_the_pacs_own_words(through: Proxy, theirs: int, ours: int) -> None:
    elsewhere = {"Location": "http://127.0.0.1:1/studies"}
    through.fake.answer = lambda path: (
        theirs,
        {**JSON, **elsewhere},
        b'{"Details": "Doe^Jane at pacs.local"}',
    )
    answer = through.get("studies/1.2/metadata")
    assert answer.status_code == ours
    assert answer.json().keys() == {"detail"}
    assert "Doe" not in answer.text
    assert "kept-secret" not in answer.text
    assert "location" not in answer.headers
    assert len(through.fake.requests) == 1


def test_metadata_that_is_no_json_is_not_passed_on(through: Proxy) -> None:
    through.fake.answer = lambda path: (200, {"Content-Type": "text/html"}, b"<h1>pacs.local</h1>")
    answer = through.get("studies")
    assert answer.status_code == 502
    assert "pacs.local" not in answer.text


def test_a_pacs_that_does_not_answer_ends_the_wait_and_holds_up_nobody(through: Proxy) -> None:
    over = threading.Event()

    def slow(path: str) -> tuple[int, dict[str, str], bytes]:
        if "instances" in path:
            over.wait(10)
        return 200, JSON, b"[]"

    through.fake.answer = slow
    answers: list[Any] = []
    waiting = [threading.Thread(target=lambda: answers.append(through.get("instances"))) for _ in range(8)]
    for thread in waiting:
        thread.start()
    began = time.monotonic()
    assert through.get("studies").status_code == 200
    took = time.monotonic() - began
    for thread in waiting:
        thread.join()
    over.set()
    assert took < 3.0
    assert {answer.status_code for answer in answers} == {504}


def _status(through: Proxy, query: bytes) -> int:
    """Of a request that a client library would not send."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    path = "/dicom-web/studies"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query}
    scope |= {"headers": [(b"host", b"reader")], "server": ("reader", 80), "scheme": "http", "root_path": ""}
    scope |= {"asgi": {"version": "3.0"}, "http_version": "1.1", "client": ("127.0.0.1", 1)}
    asyncio.run(through.client.app(scope, receive, send))  # type: ignore[arg-type]
    return int(said[0]["status"])


def test_what_cannot_stand_in_a_request_is_refused(through: Proxy) -> None:
    for query in (b"PatientName=D\xf6e", b"PatientName=D\xc3\xb6e", b"a=\x7f"):
        assert _status(through, query) == 400
    for value in (b"text/\xf6", b"application/dicom+json; \xc3\xb6"):
        assert through.get("studies/1.2", headers={"Accept": value}).status_code == 400
    kind = STOW.encode() + b"; x=\xf6"
    answer = through.client.post("/dicom-web/studies", content=BODY, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert through.fake.requests == []


def test_a_request_of_our_own_that_comes_back_is_refused(through: Proxy) -> None:
    answer = through.get("studies", headers={"X-Breastlabel-Mirror": "here"})
    assert answer.status_code == 508
    assert through.fake.requests == []
    through.fake.answer = lambda path: (200, JSON, b"[]")
    # Another server may have this one for its PACS.
    assert through.get("studies", headers={"X-Breastlabel-Mirror": "elsewhere"}).status_code == 200
    assert through.fake.requests[0][1]["x-breastlabel-mirror"] == "here"


def test_what_is_stored_goes_to_the_pacs_as_it_is_and_then_to_the_server(through: Proxy) -> None:
    told = json.dumps({"00081190": {"Value": [f"{through.fake.url}/studies/1.2"]}}).encode()
    through.fake.answer = lambda path: (200, JSON, told)
    answer = through.client.post("/dicom-web/studies/1.2", content=BODY, headers={"Content-Type": STOW})
    assert answer.json()["00081190"]["Value"] == ["http://reader.example.org/dicom-web/studies/1.2"]
    assert through.fake.bodies == [BODY]
    ((path, got),) = through.fake.requests
    assert (path, got["content-type"]) == ("/dicom-web/studies/1.2", STOW)
    assert through.stored == [(BODY, "b0undary", told)]


def test_what_the_pacs_refuses_is_not_taken_in(through: Proxy) -> None:
    through.fake.answer = lambda path: (400, {}, b"")
    answer = through.client.post("/dicom-web/studies", content=BODY, headers={"Content-Type": STOW})
    assert answer.status_code == 400
    assert through.stored == []


def test_only_files_are_stored(through: Proxy) -> None:
    for kind in (
        "application/dicom",
        "application/json",
        "multipart/related; type=application/dicom",
        "multipart/form-data; boundary=b0undary",
        'multipart/related; type="application/dicom+json"; boundary=b0undary',
    ):
        answer = through.client.post("/dicom-web/studies", content=BODY, headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    for path in ("series", "studies/1.2/series/3.4", "studies/../x"):
        answer = through.client.post(f"/dicom-web/{path}", content=BODY, headers={"Content-Type": STOW})
        assert answer.status_code == 404, path
    assert through.fake.requests == []


def test_what_is_withheld_is_left_out_of_the_pacs_answers(through: Proxy) -> None:
    def item(series: str, instance: str) -> dict[str, Any]:
        return {"0020000E": {"vr": "UI", "Value": [series]}, "00080018": {"vr": "UI", "Value": [instance]}}

    everything = [item("1.3", "1.4"), item(SHOWN, our_uid("a")), item(HIDDEN, our_uid("b"))]
    told = json.dumps(everything).encode()
    through.fake.answer = lambda path: (200, {**JSON, "ETag": "all"}, told)
    assert through.get("studies/1.2/series").json() == everything, "nobody is blinded"
    through.own.is_on = True
    for path in ("studies/1.2/series", "studies/1.2/instances", "studies/1.2/metadata"):
        answer = through.get(path, headers={"Range": "bytes=0-9", "If-None-Match": "all"})
        assert answer.json() == everything[:2], path
        assert "etag" not in answer.headers
        assert not {"range", "if-none-match"} & through.fake.requests[-1][1].keys()
    for path in ("series", "instances", "studies/1.9/series"):
        assert through.get(path).json() == everything[:1], "of many studies, or of another, nothing of ours"
    through.fake.answer = lambda path: (200, JSON, b'[{"0020000E": 7}]')
    assert through.get("studies/1.2/series").status_code == 502


def test_what_is_withheld_is_not_there_for_viewers_of_a_pacs(through: Proxy) -> None:
    through.own.is_on = True
    through.fake.answer = lambda path: (200, {"Content-Type": "application/dicom"}, b"object")
    hidden = our_uid("b")
    for path in (
        f"studies/1.2/series/{HIDDEN}",
        f"studies/1.2/series/{HIDDEN}/instances",
        f"studies/1.2/series/{HIDDEN}/instances/{hidden}/frames/1",
        # A PACS may go by the instance alone.
        f"studies/1.2/series/1.3/instances/{hidden}",
        f"studies/1.9/series/{SHOWN}",
    ):
        assert through.get(path).status_code == 404, path
    for path in ("studies/1.2", "studies/1.2/rendered"):
        refused = through.get(path)
        assert refused.status_code == 409
        assert "search for its series" in refused.json()["detail"]
    assert through.fake.requests == []
    for path in (f"studies/1.2/series/{SHOWN}/instances/{our_uid('a')}", "studies/1.2/series/1.3"):
        assert through.get(path).content == b"object", path
