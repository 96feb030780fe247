"""The whole server behind a login: by a file of users, and by an identity provider."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient

from breastlabel.errors import BreastLabelError
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.login.guard import COOKIE
from breastlabel.label.login.oidc import OpenIdProvider
from breastlabel.label.login.users import UserFile
from breastlabel.label.server import build_server
from breastlabel.web.routes.login import safe_page

from .provider import CLIENT, Provider, running_provider

APP = Path(__file__).parents[3] / "apps" / "breast" / "main.py"
HOST = "breastlabel.example"
PASSWORD = "correct horse"
#: What an annotator may do and a reader may not.
NOTE: dict[str, Any] = {"url": "/datastore/image/info", "params": {"image": "a"}, "data": {"info": "{}"}}


@pytest.fixture
def build(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TestClient]]:
    """Builds the server as the environment says; the client is another machine's."""
    from monailabel.config import settings

    monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", False)
    built: list[BreastLabelApp] = []

    def make(**environment: str) -> TestClient:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        folder = tmp_path / f"app-{len(built)}"
        folder.mkdir()
        shutil.copy(APP, folder)
        built.append(BreastLabelApp(str(folder), str(studies), {"models": "ultrasound"}))
        return TestClient(
            build_server(built[-1]),
            base_url=f"https://{HOST}",
            client=("10.0.0.7", 50000),
            follow_redirects=False,
        )

    yield make
    for app in built:
        app.close()
        provider = app.login.provider if app.login is not None else None
        assert provider is None or provider._http.is_closed, "the provider's connections outlast the server"


@pytest.fixture
def client(build: Callable[..., TestClient], tmp_path: Path) -> TestClient:
    users = UserFile(tmp_path / "users.json")
    for role in ("reader", "annotator", "admin"):
        users.put(role, PASSWORD, [role])
    return build(BREASTLABEL_LOGIN=str(users.path), BREASTLABEL_PUBLIC_URL=f"https://{HOST}")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as running:
        yield running


def bearer(client: TestClient, name: str) -> dict[str, str]:
    answer = client.post("/auth/token", data={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


EVERYWHERE = [
    "/info/",
    "/datastore/",
    "/openapi.json",
    "/docs",
    "/worklist",
    "/api/settings",
    "/api/cases",
    "/ohif/app-config.js",
    "/dicom-web/studies",
    "/static/anything",
    "/nowhere",
]


def test_nothing_is_answered_without_a_login(client: TestClient) -> None:
    for path in EVERYWHERE:
        assert client.get(path).status_code == 401, path
        assert client.get(path, headers={"Authorization": "Bearer x.y.z"}).status_code == 401, path
        asked_by_a_browser = client.get(path, headers={"Accept": "text/html"})
        assert asked_by_a_browser.status_code == 303, path
        assert asked_by_a_browser.headers["location"].startswith("/login?next=%2F"), path


def test_slicers_dialog_gets_a_token_and_it_is_valid(client: TestClient) -> None:
    assert client.get("/auth/").json() == {"enabled": True, "client_id": "", "realm": ""}
    wrong = client.post("/auth/token", data={"username": "reader", "password": "x"})
    assert wrong.status_code == 401
    assert "these are wrong" in wrong.json()["detail"]
    token = bearer(client, "reader")
    valid = client.get("/auth/token/valid", headers=token)
    assert valid.status_code == 200
    assert valid.json()["username"] == "reader"
    assert client.get("/auth/token/valid").status_code == 401
    assert client.get("/info/", headers=token).status_code == 200


def test_roles_hold(client: TestClient) -> None:
    def answers(role: str) -> list[int]:
        token = bearer(client, role)
        return [
            client.get("/datastore/", headers=token).status_code,
            client.put(
                "/datastore/image/info", params={"image": "a"}, data={"info": "{}"}, headers=token
            ).status_code,
            client.delete("/datastore/image", params={"id": "nobody"}, headers=token).status_code,
        ]

    assert answers("reader") == [200, 403, 403]
    assert answers("annotator") == [200, 200, 403]
    assert answers("admin") == [200, 200, 404]


def test_programs_may_send_name_and_password(client: TestClient) -> None:
    assert client.get("/info/", auth=("reader", PASSWORD)).status_code == 200
    assert client.get("/info/", auth=("reader", "wrong")).status_code == 401
    started = time.perf_counter()
    for _ in range(20):
        assert client.get("/auth/token/valid", auth=("reader", PASSWORD)).status_code == 200
    assert time.perf_counter() - started < 2, "the password is hashed again for every request"


def test_a_browser_logs_in_and_out(client: TestClient) -> None:
    page = client.get("/login", params={"next": "/worklist?modality=MG"})
    assert page.status_code == 200
    assert "not a medical device" in page.text.lower()
    own = {"Origin": f"https://{HOST}"}
    form = {"name": "reader", "password": PASSWORD, "next": "/worklist?modality=MG"}
    wrong = client.post("/login", data=form | {"password": "x"}, headers=own)
    assert wrong.status_code == 401
    assert "Name or password is wrong." in wrong.text
    entered = client.post("/login", data=form, headers=own)
    assert (entered.status_code, entered.headers["location"]) == (303, "/worklist?modality=MG")
    cookie = entered.headers.get_list("set-cookie")[0]
    assert {"HttpOnly", "Secure", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert client.get("/api/settings").json()["user"] == "reader"
    assert client.post("/logout", headers=own).status_code == 303
    assert client.get("/api/settings").status_code == 401


def test_another_sites_page_cannot_use_the_cookie(client: TestClient) -> None:
    token = bearer(client, "annotator")["Authorization"].split()[1]
    client.cookies.set(COOKIE, token, domain=HOST)
    assert client.put(**NOTE, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.put(**NOTE, headers={"Origin": "null"}).status_code == 403
    assert client.put(**NOTE, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.put(**NOTE, headers={"Origin": f"https://{HOST}"}).status_code == 200
    assert client.post("/login", data={}, headers={"Origin": "https://evil.example"}).status_code == 403


def test_no_other_origin_is_named_to_browsers(client: TestClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    assert "access-control-allow-origin" not in client.options("/info/", headers=asked).headers
    local = asked | {"Origin": "http://localhost:3000"}
    assert "access-control-allow-origin" not in client.options("/info/", headers=local).headers


def test_only_known_hosts_are_answered(client: TestClient) -> None:
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/login", headers={"Host": "localhost:8000"}).status_code == 200


def test_guessing_is_stopped(client: TestClient) -> None:
    wrong = [
        client.post("/auth/token", data={"username": "reader", "password": f"guess {i}"}) for i in range(11)
    ]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [503]
    right = client.post("/auth/token", data={"username": "reader", "password": PASSWORD})
    assert right.status_code == 503
    assert "too many wrong passwords" in right.json()["detail"]


def test_one_machine_may_err_more_often_than_one_name(client: TestClient) -> None:
    """Behind a proxy all readers come from one machine: ten mistakes must not shut them all out."""

    def status(name: str, password: str = "wrong") -> int:
        return client.post("/auth/token", data={"username": name, "password": password}).status_code

    assert [status(f"nobody {i}") for i in range(12)] == [401] * 12
    assert status("reader", PASSWORD) == 200


def test_logins_that_are_begun_and_left_do_not_pile_up() -> None:
    provider = OpenIdProvider("https://login.example", client_id="breastlabel")
    provider._configuration = {"authorization_endpoint": "https://login.example/auth"}
    for _ in range(10_050):
        provider.begin("/read", "https://breastlabel.example/login/callback")
    assert len(provider._pending) == 10_000


def test_who_is_taken_out_is_out_at_once(client: TestClient, tmp_path: Path) -> None:
    token = bearer(client, "annotator")
    users = UserFile(tmp_path / "users.json")
    users.put("annotator", PASSWORD, ["reader"])
    assert client.put(**NOTE, headers=token).status_code == 403
    users.remove("annotator")
    assert client.get("/info/", headers=token).status_code == 401


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/read?x=1", "/read?x=1"),
        ("https://evil.example/", "/worklist"),
        ("//evil.example", "/worklist"),
        ("/\\evil.example", "/worklist"),
        ("/a\r\nSet-Cookie: x=y", "/worklist"),
        ("", "/worklist"),
        ("/" + 2000 * "a", "/worklist"),
    ],
)
def test_the_login_leads_nowhere_else(wanted: str, led_to: str) -> None:
    assert safe_page(wanted) == led_to


def test_a_provider_says_who_somebody_is(build: Callable[..., TestClient], provider: Provider) -> None:
    client = build(BREASTLABEL_LOGIN=provider.issuer, BREASTLABEL_LOGIN_CLIENT_ID=CLIENT)
    assert client.get("/auth/").json()["realm"] == provider.issuer

    def status(token: str) -> int:
        return client.get("/info/", headers={"Authorization": f"Bearer {token}"}).status_code

    assert status(provider.token()) == 200
    assert status(provider.token(exp=int(time.time()) - 60)) == 401
    assert status(provider.token(azp="another", aud="another")) == 401
    assert status(provider.token(iss="https://evil.example")) == 401
    assert status(provider.token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))) == 401
    assert status(provider.token(realm_access={"roles": ["offline_access"]})) == 403
    bob = client.post("/auth/token", data={"username": "ada", "password": "wrong"})
    assert bob.status_code == 401
    ada = client.post("/auth/token", data={"username": "ada", "password": "correct horse"})
    assert status(ada.json()["access_token"]) == 200


def test_a_browser_logs_in_at_the_provider(build: Callable[..., TestClient], provider: Provider) -> None:
    client = build(
        BREASTLABEL_LOGIN=provider.issuer,
        BREASTLABEL_LOGIN_CLIENT_ID=CLIENT,
        BREASTLABEL_PUBLIC_URL=f"https://{HOST}",
    )
    assert "hospital account" in client.get("/login").text
    sent = client.get("/login/start", params={"next": "/read"})
    back = provider.log_in(sent.headers["location"])
    assert back.startswith(f"https://{HOST}/login/callback?")
    entered = client.get(back)
    assert (entered.status_code, entered.headers["location"]) == (303, "/read")
    seen = client.get("/api/settings").json()
    assert seen["user"] == "ada"
    assert "monailabel-annotator" in seen["roles"]
    # Neither the same answer twice, nor one that another browser began.
    assert client.get(back).status_code == 401
    other = provider.log_in(client.get("/login/start").headers["location"])
    client.cookies.clear()
    assert client.get(other).status_code == 401


def test_a_provider_that_is_away_is_said_so(build: Callable[..., TestClient], provider: Provider) -> None:
    client = build(BREASTLABEL_LOGIN="http://127.0.0.1:9/realms/none")
    answer = client.post("/auth/token", data={"username": "ada", "password": "correct horse"})
    assert answer.status_code == 400
    assert "identity provider is required" in answer.json()["detail"]
    assert client.get("/info/", headers={"Authorization": f"Bearer {provider.token()}"}).status_code == 400


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BREASTLABEL_LOGIN", "/nowhere/users.json", "a file of users is required"),
        ("BREASTLABEL_LOGIN_HOURS", "soon", "hours from 0.1 to 720"),
        ("BREASTLABEL_PUBLIC_URL", "breastlabel.example", "http(s) address"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(
    build: Callable[..., TestClient], tmp_path: Path, name: str, value: str, reason: str
) -> None:
    users = UserFile(tmp_path / "users.json")
    users.put("ada", PASSWORD, ["reader"])
    with pytest.raises(BreastLabelError) as refused:
        build(**({"BREASTLABEL_LOGIN": str(users.path)} | {name: value}))
    assert reason in str(refused.value)
