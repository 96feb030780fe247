from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.config import settings
from monailabel.endpoints.user.auth import User, get_current_user

from breastlabel.label.caller import Caller, caller
from breastlabel.label.routes.roles import USER


@pytest.fixture
def asking() -> Iterator[TestClient]:
    """A server with one route that says who asked."""
    server = FastAPI()

    @server.get("/", dependencies=USER)
    def who() -> dict[str, str | None]:
        return {"author": caller().author({"author": "claimed"}), "client_id": caller().client_id({})}

    with TestClient(server, client=("10.0.0.7", 50000)) as client:
        yield client


def test_a_route_learns_the_machine(asking: TestClient) -> None:
    assert asking.get("/").json() == {"author": "claimed", "client_id": "unknown-10.0.0.7"}
    assert caller() == Caller(), "nothing of a request stays behind"


def test_a_login_counts_more_than_what_a_client_claims(
    asking: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reader() -> User:
        return User(username="reader-1", roles=[settings.MONAI_LABEL_AUTH_ROLE_USER])

    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    server = asking.app
    assert isinstance(server, FastAPI)
    server.dependency_overrides[get_current_user] = reader
    assert asking.get("/").json() == {"author": "reader-1", "client_id": "unknown-reader-1"}


def test_names_are_short_and_printable() -> None:
    assert Caller().client_id({"client_id": " slicer\0\n-1 "}) == "slicer-1"
    assert Caller().client_id({"client_id": ["a", "b"]}) == "a"
    assert Caller().client_id({"client_id": "\n"}) == "unknown-local"
    assert len(Caller().author({"author": "x" * 1000}) or "") == 128
    assert Caller().author({}) is None


def test_what_slicer_calls_itself_by_default_tells_nobody_apart() -> None:
    asked = {"client_id": "user-xyz"}
    assert Caller(user="anna").client_id(asked) == "unknown-anna"
    assert Caller(host="10.0.0.7").client_id(asked) != Caller(host="10.0.0.8").client_id(asked)
