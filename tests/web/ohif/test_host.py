"""``/ohif/``: the viewer's files, no others, and nothing from elsewhere."""

import gzip
import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from breastlabel.web.ohif.config import app_config, content_security_policy
from breastlabel.web.ohif.host import EXTENSION_FOLDER, file_within, router
from breastlabel.web.ohif.release import FOLDER_VARIABLE, viewer_folder


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    server = FastAPI()
    server.include_router(router(None))
    return TestClient(server)


@pytest.fixture
def viewer(tmp_path, client):
    folder = viewer_folder(tmp_path / "cache")
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>viewer</title>")
    (folder / "1.bundle.ab.js").write_text("code")
    (folder / "1.bundle.ab.js.gz").write_bytes(gzip.compress(b"code"))
    (folder / "0a.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.js").write_text("secret")
    (folder / "assets" / "link.js").symlink_to(tmp_path / "secret.js")
    return folder


def test_without_the_viewer_the_page_says_how_to_fetch_it(client):
    answer = client.get("/ohif/")
    assert answer.status_code == 503
    assert "scripts/fetch-ohif" in answer.text


@pytest.mark.parametrize("path", ["/ohif", "/ohif/", "/ohif/segmentation?StudyInstanceUIDs=1.2.3"])
def test_addresses_of_the_viewer_lead_to_its_page(client, viewer, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert "viewer" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"] == content_security_policy()


def test_types_are_right_whatever_the_machine_believes(client, viewer):
    assert client.get("/ohif/1.bundle.ab.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/ohif/0a.wasm").headers["content-type"] == "application/wasm"


def test_a_bundle_comes_packed_where_that_is_understood_and_once(client, viewer):
    answer = client.get("/ohif/1.bundle.ab.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == "code"
    assert "immutable" in answer.headers["cache-control"]
    plain = client.get("/ohif/1.bundle.ab.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    again = client.get("/ohif/1.bundle.ab.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/ohif/%2e%2e/%2e%2e/secret.js",
        "/ohif/..%2f..%2fsecret.js",
        "/ohif/assets/link.js",
        "/ohif/..%5csecret.js",
        "/ohif/%00.js",
        "/ohif/absent.js",
        "/ohif/breastlabel/..%2f..%2f__init__.py",
        "/ohif/breastlabel/absent.js",
    ],
)
def test_nothing_outside_is_served(client, viewer, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_path_within_the_folder_is_found_and_no_other(viewer):
    assert file_within(viewer, "index.html") == (viewer / "index.html").resolve()
    for path in ("", "/etc/passwd", "../x", "a\0", "assets", "assets/../index.html"):
        assert file_within(viewer, path) is None


def test_the_configuration_names_our_archive_and_extension_and_no_other_host(client):
    answer = client.get("/ohif/app-config.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.text == app_config()
    assert re.search(r"https?:|//", answer.text) is None
    settings = json.loads(answer.text.removeprefix("window.config = ").rstrip().rstrip(";"))
    source = settings["dataSources"][0]["configuration"]
    assert {source[root] for root in ("qidoRoot", "wadoRoot", "stowRoot")} == {"/dicom-web"}
    assert settings["activateViewportBeforeInteraction"] is False, "the first stroke paints"
    for module in [*settings["extensions"], *settings["modes"]]:
        assert client.get(module).status_code == 200, module


def test_the_extension_depends_on_nothing_but_our_own_files():
    files = sorted(EXTENSION_FOLDER.glob("*.js"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        for module in re.findall(r"""(?:from|import)\s*\(?\s*['"]([^'"]+)['"]""", text):
            # Its own, or what our pages share with it.
            assert re.fullmatch(r"(\./|/assets/)[a-z]+\.js", module), f"{file.name} imports {module}"
            folder = EXTENSION_FOLDER if module.startswith("./") else EXTENSION_FOLDER.parent
            assert (folder / Path(module).name).is_file(), f"{file.name} imports {module}"
        assert re.search(r"https?://", text) is None, file.name
        assert "eval(" not in text
