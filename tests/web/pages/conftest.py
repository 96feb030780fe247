"""One app in this process over a few phantoms, for all tests of the pages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.apps import built_app, local_client

from breastlabel.datasets.phantoms import write_mammogram_phantoms, write_phantom_studies
from breastlabel.label.app import BreastLabelApp

US, MG = "phantom-9-0001-a", "phantom-mg-9-0001-rmlo"


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ultrasound images and the four views of a patient; nothing is labelled."""
    folder = tmp_path_factory.mktemp("phantoms") / "studies"
    write_mammogram_phantoms(folder, exams=1, seed=9, shape=(256, 208), priors=0.0, labelled=0.0, truth=False)
    write_phantom_studies(
        folder, exams=2, seed=9, images_per_exam=1, shape=(96, 120), labelled=0.0, suffix=".png"
    )
    return folder


@pytest.fixture(scope="module")
def app(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreastLabelApp]:
    """Over a copy of the phantoms, with the champions that ship with the package."""
    folder = tmp_path_factory.mktemp("app")
    studies = Path(shutil.copytree(phantoms, folder / "studies"))
    with built_app(studies, folder / "app") as built:
        yield built


@pytest.fixture(scope="module")
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    """A client on this machine."""
    with local_client(app) as local:
        yield local


def finished(client: TestClient, reading: dict[str, Any], seconds: float = 60.0) -> dict[str, Any]:
    """A reading when it is over."""
    deadline = time.monotonic() + seconds
    while reading["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline, "the reading does not end"
        time.sleep(0.05)
        answer = client.get(f"/api/readings/{reading['id']}")
        assert answer.status_code == 200, answer.text
        reading = answer.json()
    return reading
