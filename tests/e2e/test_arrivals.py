"""AI on arrival in a real server: what comes is read unasked, and once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from .serving import Server, running_server, wait_until

pytestmark = pytest.mark.slow
SAMPLES = Path(__file__).resolve().parents[2] / "sample-data"


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """One exam, to which another of its patient comes later."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for file in (SAMPLES / "mammograms").glob("phantom-mg-2041-0003-[lr]*.dcm"):
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def server(studies: Path, tmp_path: Path) -> Iterator[Server]:
    with running_server(studies, tmp_path, BREASTLABEL_READ_ON_ARRIVAL="1") as running:
        yield running


def result(server: Server, image_id: str) -> Any:
    """The AI's result of an image, once there is one."""
    case = server.request("GET", "/api/cases/find", params={"image_id": image_id}).json()
    return next(i for i in case["images"] if i["image_id"] == image_id)["result"]


def versions(server: Server, image_id: str) -> list[dict[str, Any]]:
    answer = server.request("GET", "/datastore/label/history", params={"image": image_id})
    return list(answer.json()["versions"])


def test_images_are_read_before_anybody_asks_and_once(server: Server, studies: Path, tmp_path: Path) -> None:
    first = "phantom-mg-2041-0003-rcc"
    health = server.request("GET", "/health").json()
    assert (health["status"], health["workers"]["arrivals"]) == ("ok", True)
    wait_until(lambda: result(server, first), 240)
    shutil.copy(SAMPLES / "phantom-2026-0001-a.nrrd", studies / "came-later.nrrd")
    wait_until(lambda: versions(server, "came-later"), 240)
    segmentations = server.request("GET", "/dicom-web/series", params={"Modality": "SEG"}).json()
    assert len(segmentations) >= 3
    # A segmentation is put there as well: it is a reader's label, and after a restart no second one.
    drawn = pydicom.dcmread(SAMPLES / "mammograms" / "truth" / "phantom-mg-2041-0003-rmlo.dcm")
    drawn.SOPInstanceUID = drawn.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    drawn.save_as(studies / "drawn.dcm")
    marked = "phantom-mg-2041-0003-rmlo"
    wait_until(lambda: [v for v in versions(server, marked) if v["tag"] == "final"], 60)
    metrics = server.request("GET", "/metrics").text
    assert 'breastlabel_arrivals_total{outcome="read"}' in metrics
    assert "came-later" not in metrics
    before = {image: versions(server, image) for image in (first, marked, "came-later")}
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(timeout=30)
    with running_server(studies, tmp_path, BREASTLABEL_READ_ON_ARRIVAL="1") as again:
        shutil.copy(SAMPLES / "phantom-2026-0002-a.nrrd", studies / "came-last.nrrd")
        wait_until(lambda: versions(again, "came-last"), 240)
        assert {image: versions(again, image) for image in before} == before, "nothing is read twice"
        assert again.request("GET", "/info/").json()["datastore"]["total"] == 6
    assert "came-last" not in server.log()
