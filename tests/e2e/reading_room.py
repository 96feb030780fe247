"""A server with exams and a worklist for tests in the browser, and what they look up behind its back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.orthanc import Orthanc

from breastlabel.catalog import Catalog
from breastlabel.datasets.mammogram_studies import write_mammogram_phantoms
from breastlabel.imaging import LabelArray, LesionClass, read_mask

from .serving import Server, running_server, wait_until
from .test_correction import correct

__all__ = [
    "SHAPE",
    "VIEWS",
    "cases",
    "label",
    "label_of",
    "mammograms",
    "pacs_room",
    "room",
    "run_ai",
    "store",
]

#: Of the mammograms, and in the order in which they hang.
SHAPE = (320, 256)
VIEWS = ("rcc", "lcc", "rmlo", "lmlo")


@pytest.fixture(scope="module")
def room(
    pristine: Path, ohif: Path, chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Ultrasound phantoms with a tiny champion, outlined anew by a reader who draws larger; and mammography
    exams of some patients, some with a prior, stored over DICOMweb and judged by the champion that ships."""
    folder = tmp_path_factory.mktemp("room")
    studies = Path(shutil.copytree(pristine, folder / "studies"))
    correct(studies, larger=True)
    with running_server(studies, folder, *_conf("ultrasound,mammography")) as running:
        store(running, _exams(folder / "exams"))
        yield running


@pytest.fixture(scope="module")
def pacs_room(
    orthanc: Orthanc, ohif: Path, chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The same mammography exams in a real PACS, of which the server keeps a mirror."""
    folder = tmp_path_factory.mktemp("pacs-room")
    mirror = folder / "mirror"
    settings = {"BREASTLABEL_HOME": str(mirror), "BREASTLABEL_PACS_INTERVAL": "1"}
    with running_server(orthanc.dicom_web, folder, *_conf("mammography"), **settings) as running:
        # What tests look up behind the server's back lies there.
        running.studies = mirror
        store(running, _exams(folder / "exams"))
        yield running


def _conf(models: str) -> tuple[str, ...]:
    return ("--conf", "models", models, "--conf", "read_on_arrival", "false")


def _exams(folder: Path) -> list[Path]:
    normal, malignant = LesionClass.NORMAL, LesionClass.MALIGNANT
    write_mammogram_phantoms(
        folder,
        exams=5,
        seed=5,
        shape=SHAPE,
        classes=[(malignant, normal)],
        priors=0.5,
        labelled=0.0,
        truth=False,
        split="train",
    )
    return sorted(folder.glob("*.dcm"))


def store(server: Server, files: list[Path]) -> None:
    """STOW-RS, as a modality's router sends an exam."""
    parts = b"".join(
        b"--part\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n" for file in files
    )
    kind = 'multipart/related; type="application/dicom"; boundary=part'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    answer = server.request("POST", "/dicom-web/studies", data=parts + b"--part--\r\n", headers=headers)
    assert answer.status_code == 200, answer.text


def cases(server: Server, modality: str) -> list[dict[str, Any]]:
    query = {"modality": modality, "status": "all", "limit": 100}
    answer = server.request("GET", "/api/cases", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["cases"])


def mammograms(server: Server, *, prior: bool) -> dict[str, Any]:
    """An exam, with or without an older one, in which the champion that ships outlines something; its images
    by their view."""

    def found() -> list[dict[str, Any]]:
        exams = cases(server, "MG")
        older = {p["case_id"] for c in exams for p in c["priors"]}
        fitting = [c for c in exams if c["has_prior"] == prior and c["case_id"] not in older]
        return [c for c in fitting if len(c["images"]) == 4]

    for case in wait_until(found, 60):
        views = {f"{i['laterality']}{i['view_position']}".lower(): i for i in case["images"]}
        assert set(views) == set(VIEWS)
        proposals = {view: run_ai(server, image["image_id"]) for view, image in views.items()}
        assert all(proposal["segmentation"] for proposal in proposals.values())
        if any(label_of(server, image["image_id"]).any() for image in views.values()):
            return {**case, "views": views}
    pytest.fail("the champion outlines nothing in any of the exams")


def run_ai(server: Server, image_id: str) -> dict[str, Any]:
    answer = server.request("POST", f"/api/images/{image_id}/run", json={"client_id": "test"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def label(server: Server, image_id: str, tag: str = "final") -> tuple[int, LabelArray] | None:
    """Version and mask of an image's newest label."""
    with Catalog.open(server.studies) as catalog:
        version = catalog.labels.current(image_id, tag)
        return None if version is None else (version.version, read_mask(catalog.labels.path(version)))


def label_of(server: Server, image_id: str) -> LabelArray:
    """The AI's newest outline."""
    found = label(server, image_id, "original")
    assert found is not None
    return found[1]
