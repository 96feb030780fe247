"""All five systems answer on a fresh server, with the checkpoints that ship with the package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from breastlabel import champions
from breastlabel.label.systems import MODELS
from breastlabel.training import read_spec

from .serving import Server, running_server

SAMPLES = Path(__file__).resolve().parents[2] / "sample-data"
ULTRASOUND, MAMMOGRAM = "phantom-2026-0001-a", "phantom-mg-2041-0003-rcc"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fresh")
    studies = folder / "studies"
    studies.mkdir()
    shutil.copy(SAMPLES / f"{ULTRASOUND}.nrrd", studies)
    for file in (SAMPLES / "mammograms").glob("phantom-mg-2041-0003*.dcm"):
        shutil.copy(file, studies)
    with running_server(studies, folder) as running:
        yield running


@pytest.mark.parametrize("model", MODELS)
def test_every_system_answers_with_its_shipped_checkpoint(fresh: Server, model: str) -> None:
    image = ULTRASOUND if model == "ultrasound" else MAMMOGRAM
    _, params = fresh.client().infer(model, image, {})
    shipped = champions.FOLDER / model
    assert params["checkpoint_version"] == read_spec(shipped)["version"]
    assert sum(params["class_probabilities"].values()) == pytest.approx(1, abs=1e-4)
    card = (shipped / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("Not a medical device", params["checkpoint_version"], "test splits", "Data and terms"):
        assert needed in card


@pytest.mark.parametrize("model", ["mammography", "screening"])
def test_views_and_priors_of_the_samples_are_used(fresh: Server, model: str) -> None:
    _, params = fresh.client().infer(model, MAMMOGRAM, {})
    roles = sorted(entry["role"] for entry in params["sequence"])
    assert roles == ["asked", "prior", "prior", "view"]


def test_a_system_refuses_an_image_of_another_modality(fresh: Server) -> None:
    answer = fresh.request(
        "POST", "/infer/mammography", params={"image": ULTRASOUND}, files={"params": (None, "{}")}
    )
    assert answer.status_code in (400, 404, 422)
    assert "detail" in answer.json()
