"""What ``deploy/compose.yaml`` brings together, as three processes: a PACS, PostgreSQL and the server.

The server's settings are those of the file; host names, passwords and ports are the test's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml
from tests.orthanc import Orthanc, running_orthanc

from breastlabel.datasets.mammogram_studies import write_mammogram_phantoms
from breastlabel.imaging import Geometry, write_mask
from breastlabel.label.login.users import UserFile

from .serving import Server, running_server, wait_until

pytestmark = pytest.mark.slow

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
NAME, PASSWORD, PACS_PASSWORD = "ada", "correct horse battery", "kept-secret-4711"
#: (rows, cols) of the phantoms.
SHAPE = (160, 128)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    """As the file's service ``orthanc``: with a login of its own."""
    settings = _environment("orthanc", PACS_PASSWORD=PACS_PASSWORD)
    assert settings["ORTHANC__AUTHENTICATION_ENABLED"] == "true"
    with running_orthanc(
        tmp_path / "orthanc", users=yaml.safe_load(settings["ORTHANC__REGISTERED_USERS"])
    ) as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, postgres_url: str) -> dict[str, str]:
    """Of the service ``breastlabel``."""
    users = UserFile(tmp_path / "users.json")
    users.put(NAME, PASSWORD, ["annotator"])
    found = _environment(
        "breastlabel", PACS_PASSWORD=PACS_PASSWORD, DATABASE_PASSWORD="unused", PUBLIC_URL=""
    )
    assert found["BREASTLABEL_DATABASE_URL"] == "postgresql://breastlabel:unused@database/breastlabel"
    assert found["BREASTLABEL_LOGIN"] == "/run/secrets/users"
    return found | {
        "BREASTLABEL_DATABASE_URL": postgres_url,
        "BREASTLABEL_LOGIN": str(users.path),
        "BREASTLABEL_PUBLIC_URL": "http://localhost:8000",
        # The image's own setting, and a mirror that looks at once and does not ask for a large disk.
        "BREASTLABEL_HOME": str(tmp_path / "site"),
        "BREASTLABEL_PACS_INTERVAL": "1",
        "BREASTLABEL_PACS_KEEP_FREE_MB": "0",
    }


def _environment(service: str, **values: str) -> dict[str, str]:
    """A service's environment with ``${NAME:...}`` filled in, as compose does."""
    text = COMPOSE.read_text()
    for name, value in values.items():
        text = re.sub(r"\$\{" + name + r"\b[^}]*\}", value, text)
    return {
        name: str(value) for name, value in yaml.safe_load(text)["services"][service]["environment"].items()
    }


def test_a_site_from_the_exam_to_the_label_that_outlasts_a_kill(
    pacs: Orthanc, environment: dict[str, str], tmp_path: Path
) -> None:
    write_mammogram_phantoms(tmp_path / "exam", exams=1, seed=3, shape=SHAPE, labelled=0.0, truth=False)
    pacs.store_folder(tmp_path / "exam")
    folder = tmp_path / "server"
    with _serving(pacs, folder, environment) as server:
        for path in ("/worklist", "/api/cases", "/dicom-web/studies", "/datastore/"):
            assert server.request("GET", path).status_code == 401, path
        assert server.request("GET", "/api/cases", auth=(NAME, "wrong password")).status_code == 401
        login = _token(server)
        images = wait_until(lambda: _images(server, login), 120)
        image = next(i for i in images if (i["laterality"], i["view_position"]) == ("R", "CC"))
        ran = server.request("POST", f"/api/images/{image['image_id']}/run", json={}, headers=login)
        assert ran.status_code == 200, ran.text
        assert ran.json()["result"]["checkpoint_version"]
        found = wait_until(lambda: _segmentations(pacs, image["study_instance_uid"]), 60)
        assert ran.json()["segmentation"]["series_instance_uid"] in found
        saved = _save(server, login, image["image_id"], tmp_path / "outline.nrrd")
        assert saved.status_code == 200, saved.text
        before, outline = _final(server, login, image["image_id"])
        assert before["author"] == NAME
        log = server.log()
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(timeout=30)
    with _serving(pacs, folder, environment) as server:
        # The session that was begun before is still one: its key lies in the site's folder.
        assert _final(server, login, image["image_id"]) == (before, outline)
        log += server.log()
    assert image["image_id"] not in log
    assert image["study_instance_uid"] not in log
    assert PACS_PASSWORD not in log


def _serving(
    pacs: Orthanc, folder: Path, environment: dict[str, str]
) -> contextlib.AbstractContextManager[Server]:
    """``breastlabel serve``, as the file's ``command``."""
    program = ("breastlabel.cli", "serve")
    return running_server(pacs.dicom_web, folder, "--models", "mammography", program=program, **environment)


def _token(server: Server) -> dict[str, str]:
    form = {"username": NAME, "password": PASSWORD}
    answer = server.request("POST", "/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _images(server: Server, login: dict[str, str]) -> list[dict[str, Any]]:
    """The exam's four images, once the mirror has them all."""
    answer = server.request("GET", "/api/cases", params={"status": "all"}, headers=login)
    assert answer.status_code == 200, answer.text
    found = [image for case in answer.json()["cases"] for image in case["images"]]
    return found if len(found) == 4 else []


def _segmentations(pacs: Orthanc, study: str) -> list[str]:
    """Series of segmentations that the PACS itself has of a study."""
    answer = pacs.session.get(
        f"{pacs.dicom_web}/studies/{study}/series", params={"Modality": "SEG"}, timeout=30
    )
    assert answer.status_code in (200, 204), answer.text
    series = answer.json() if answer.status_code == 200 else []
    return [entry["0020000E"]["Value"][0] for entry in series]


def _save(server: Server, login: dict[str, str], image: str, file: Path) -> requests.Response:
    mask = np.zeros(SHAPE, np.uint8)
    mask[60:80, 30:50] = 2
    write_mask(file, mask, geometry=Geometry())
    with file.open("rb") as label:
        return server.request(
            "PUT",
            "/datastore/label",
            params={"image": image, "tag": "final"},
            data={"params": '{"label_info": [{"name": "malignant", "idx": 2}]}'},
            files={"label": (file.name, label)},
            headers=login,
        )


def _final(server: Server, login: dict[str, str], image: str) -> tuple[dict[str, Any], bytes]:
    """The reader's label: what was saved of it at once, and its file."""
    answer = server.request("GET", "/datastore/label/history", params={"image": image}, headers=login)
    assert answer.status_code == 200, answer.text
    (version,) = [version for version in answer.json()["versions"] if version["tag"] == "final"]
    kept = ("version", "state", "label", "author", "created_at", "model_version")
    file = server.request("GET", "/datastore/label", params={"label": image, "tag": "final"}, headers=login)
    assert file.status_code == 200, file.text
    return {name: version[name] for name in kept}, file.content
