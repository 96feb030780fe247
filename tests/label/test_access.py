from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from breastlabel.label.access import ALLOW_REMOTE, is_local
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.server import build_server


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LocalHost"]
)
def test_loopback_is_local(host: str) -> None:
    assert is_local(host)


REMOTE = [
    "10.0.0.1",
    "0.0.0.0",
    "::",
    "::ffff:10.0.0.1",
    "evil.example",
    "localhost.evil.example",
    "127.1",
    "",
]


@pytest.mark.parametrize("host", REMOTE)
def test_everything_else_is_not(host: str) -> None:
    assert not is_local(host)


def answer(
    app: BreastLabelApp, *, peer: str = "127.0.0.1", host: str = "127.0.0.1:8000", origin: str | None = None
) -> int:
    headers = {} if origin is None else {"Origin": origin}
    with TestClient(build_server(app), base_url=f"http://{host}", client=(peer, 50000)) as client:
        return client.get("/info/", headers=headers).status_code


def test_without_a_login_only_this_machine_is_answered(app: BreastLabelApp) -> None:
    assert answer(app) == 200
    assert answer(app, host="localhost") == 200
    assert answer(app, host="[::1]:8000", peer="::1") == 200
    assert answer(app, peer="192.168.1.7") == 403
    assert answer(app, host="evil.example:8000") == 403
    assert answer(app, host="127.0.0.1.evil.example") == 403


def test_the_engineer_can_open_the_server(app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_REMOTE, "1")
    assert answer(app, peer="192.168.1.7", host="mammo.hospital:8000") == 200
    monkeypatch.setenv(ALLOW_REMOTE, "0")
    assert answer(app, peer="192.168.1.7", host="mammo.hospital:8000") == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://localhost:3000", "http://[::1]:8000"])
def test_pages_of_this_machine_are_answered(app: BreastLabelApp, origin: str) -> None:
    assert answer(app, origin=origin) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "null",
        "",
        "http://[",
    ],
)
def test_pages_from_elsewhere_are_not(app: BreastLabelApp, origin: str) -> None:
    assert answer(app, origin=origin) == 403


def test_a_page_elsewhere_cannot_start_a_training(app: BreastLabelApp) -> None:
    server = build_server(app)
    with TestClient(server, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)) as client:
        refused = client.post("/train/ultrasound", json={}, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        assert "page from elsewhere" in refused.json()["detail"]
        assert client.get("/train/", params={"check_if_running": True}).status_code == 404


def test_an_open_server_lets_no_other_sites_page_change_anything(
    app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monailabel.config import settings

    monkeypatch.setenv(ALLOW_REMOTE, "1")
    monkeypatch.setattr(settings, "MONAI_LABEL_CORS_ORIGINS", ["https://ohif.example"])
    with TestClient(
        build_server(app), base_url="http://mammo.hospital:8000", client=("192.168.1.7", 50000)
    ) as client:

        def status(origin: str | None) -> int:
            headers = {} if origin is None else {"Origin": origin}
            note = {"params": {"image": "a"}, "data": {"info": "{}"}, "headers": headers}
            return client.put("/datastore/image/info", **note).status_code

        assert [status(o) for o in (None, "http://mammo.hospital:8000", "https://ohif.example")] == [200] * 3
        assert [status(o) for o in ("https://evil.example", "null", "http://mammo.hospital")] == [403] * 3
