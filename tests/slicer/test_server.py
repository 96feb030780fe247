"""The module's client against a real server, as the module's logic drives it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from tests.e2e.serving import Server, running_server

from breastlabel.imaging import read_image, read_mask
from breastlabel.label.login.users import UserFile
from BreastLabelLib.reading import breast_lines, finding_rows
from BreastLabelLib.server import BreastLabelServer, ServerError

pytestmark = pytest.mark.slow
SAMPLES = Path(__file__).parents[2] / "sample-data"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shipped champions over one mammography exam and one ultrasound image, behind a login."""
    folder = tmp_path_factory.mktemp("slicer")
    studies = folder / "studies"
    studies.mkdir()
    for image in (
        *SAMPLES.glob("mammograms/phantom-mg-2041-0002-*.dcm"),
        SAMPLES / "phantom-2026-0001-a.nrrd",
    ):
        shutil.copy(image, studies)
    users = UserFile(folder / "users.json")
    # Whoever starts a training must be one, as in MONAI Label itself.
    users.put("ada", "correct horse", ["admin"])
    with running_server(studies, folder, BREASTLABEL_LOGIN=str(users.path)) as server:
        yield server


@pytest.fixture
def server(running: Server) -> BreastLabelServer:
    client = BreastLabelServer(running.url, client_id="slicer-1")
    assert client.needs_login()
    client.log_in("ada", "correct horse")
    return client


def test_a_mammography_case_is_read_accepted_and_corrected(server: BreastLabelServer, tmp_path: Path) -> None:
    case = server.next_case(modality="MG")
    assert case is not None
    assert len(case["images"]) == 4
    views = {f"{i['laterality']}{i['view_position']}": i["image_id"] for i in case["images"]}
    assert set(views) == {"RCC", "RMLO", "LCC", "LMLO"}
    server.run(views["LCC"])
    case = server.reveal(case["case_id"])
    assert case == server.case(case["case_id"]), "nothing is withheld here"
    assert any(line.startswith("Left breast: malignant ") for line in breast_lines(case))
    assert all(row.position[0] >= 0 for row in finding_rows(case))

    file = server.download_image(views["LCC"], tmp_path)
    shape = read_image(file).shape
    outlines = server.download_label(views["LCC"], "original", tmp_path)
    assert outlines is not None
    assert read_mask(outlines).shape == shape

    left = next(i for i in case["images"] if i["image_id"] == views["LCC"])
    version = left["result"]["proposal_version"]
    accepted = server.accept(views["LCC"], proposal_version=version, birads="4", seconds_spent=12.5)
    assert accepted["state"] == "final"
    with pytest.raises(ServerError, match="proposal") as refused:
        server.accept(views["RCC"], proposal_version=99)
    assert refused.value.status == 409

    # As Slicer exports segments: values in their order, whatever that is; axes (column, row, slice).
    array = np.zeros((shape[1], shape[0], 1), np.uint8)
    array[20:30, 40:60] = 1
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "label.nii.gz")
    saved = server.save(
        views["LMLO"], tmp_path / "label.nii.gz", [("malignant", 1), ("benign", 2)], seconds_spent=30.0
    )
    assert saved["state"] == "final"
    kept = server.download_label(views["LMLO"], "final", tmp_path)
    assert kept is not None
    mask = read_mask(kept)
    assert set(np.unique(mask)) == {0, 2}
    assert mask[40:60, 20:30].all()
    assert mask.sum() == 2 * 10 * 20
    images = {i["image_id"]: i for i in server.case(case["case_id"])["images"]}
    assert images[views["LCC"]]["label"]["state"] == "final"
    assert images[views["LMLO"]]["label"]["label"] == "malignant"


def test_an_ultrasound_image_has_a_heat_map(server: BreastLabelServer, tmp_path: Path) -> None:
    case = server.next_case(modality="US")
    assert case is not None
    image_id = case["images"][0]["image_id"]
    image = read_image(server.download_image(image_id, tmp_path))
    heat = read_image(server.heat_map(image_id, "ultrasound", tmp_path))
    assert heat.shape == image.shape
    assert 0 <= heat.pixels.min() < heat.pixels.max() <= 1


def test_training_is_followed(server: BreastLabelServer) -> None:
    status: dict[str, Any] = server.training()
    assert status["running"] is False
    with pytest.raises(ServerError) as refused:
        server.start_training("no-such-model")
    assert refused.value.status == 404


def test_what_goes_wrong_is_said_to_the_reader(running: Server, server: BreastLabelServer) -> None:
    stranger = BreastLabelServer(running.url, client_id="x")
    with pytest.raises(ServerError, match="a login is required"):
        stranger.settings()
    with pytest.raises(ServerError, match="these are wrong"):
        stranger.log_in("ada", "wrong password")
    with pytest.raises(ServerError, match="must begin with http"):
        BreastLabelServer("ftp://x", client_id="x")
    with pytest.raises(ServerError, match="no server answers at"):
        BreastLabelServer("http://127.0.0.1:9", client_id="x").needs_login()
    with pytest.raises(ServerError) as unknown:
        server.run("../../etc/passwd")
    assert unknown.value.status == 404
    assert server.download_label("phantom-2026-0001-a", "original", running.folder) is None
