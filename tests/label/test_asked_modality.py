from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from breastlabel.catalog import ImageRecord
from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Laterality, Modality, ViewPosition
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.asked_modality import check_modality
from breastlabel.label.systems import MODELS

MAMMOGRAPHY = [name for name, system in MODELS.items() if system.modality is Modality.MG]


class Answers:
    """A task that would answer whatever it is asked."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.asked.append(request)
        file = Path(request["image"]).with_name("answer.nrrd.part")
        file.write_bytes(b"x")
        return str(file), {"findings": [{}]}


@pytest.fixture
def tasks(app: BreastLabelApp) -> Answers:
    """Stands in for every system, and for ``explain``."""
    answers = Answers()
    app._infers = dict.fromkeys([*MODELS, "explain"], answers)
    return answers


def imported(app: BreastLabelApp, modality: Modality) -> None:
    """Image ``a`` as an importer of a dataset leaves it."""
    app.catalog.update_image("a", dataset="busi", modality=modality)


@pytest.mark.parametrize("model", MAMMOGRAPHY)
def test_a_mammography_system_refuses_what_is_known_to_be_ultrasound(
    client: TestClient, app: BreastLabelApp, tasks: Answers, model: str
) -> None:
    imported(app, Modality.US)
    answer = client.post(f"/infer/{model}?image=a&output=json")
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        f"a mammogram (MG) is required for {model}; image 'a' is ultrasound (US); ask for ultrasound"
    )
    assert tasks.asked == []


def test_ultrasound_refuses_what_is_known_to_be_a_mammogram(
    client: TestClient, app: BreastLabelApp, tasks: Answers
) -> None:
    imported(app, Modality.MG)
    answer = client.post("/infer/ultrasound?image=a&output=json")
    assert answer.status_code == 422
    assert "ultrasound (US) is required" in answer.json()["detail"]
    assert client.post("/infer/mammography?image=a&output=json").status_code == 200


def test_explain_refuses_a_named_system_of_another_modality(
    client: TestClient, app: BreastLabelApp, tasks: Answers
) -> None:
    imported(app, Modality.MG)
    for said in ("ultrasound", ["ultrasound"]):
        params = {"params": (None, f'{{"explain_model": {said!r}}}'.replace("'", '"'))}
        assert client.post("/infer/explain?image=a&output=json", files=params).status_code == 422
    assert client.post("/infer/explain?image=a&output=json").status_code == 200


@pytest.mark.parametrize("model", ["ultrasound", *MAMMOGRAPHY])
def test_a_plain_image_of_which_nobody_said_what_it_is_may_be_either(
    client: TestClient, tasks: Answers, model: str
) -> None:
    assert client.post(f"/infer/{model}?image=b&output=json").status_code == 200


def test_a_plain_image_whose_name_says_side_and_view_is_a_mammogram(
    client: TestClient, app: BreastLabelApp, tasks: Answers, studies: Path
) -> None:
    shutil.copy(studies / "a.png", studies / "7_R_MLO.png")
    assert client.post("/infer/ultrasound?image=7_R_MLO&output=json").status_code == 422
    assert client.post("/infer/screening?image=7_R_MLO&output=json").status_code == 200


def test_what_is_known_of_a_record() -> None:
    def record(**changes: Any) -> ImageRecord:
        known = {"image_id": "a", "file": "a.png", "dataset": "folder", "modality": Modality.US}
        return ImageRecord(**{**known, "patient_key": "p", "group": "g", **changes})

    check_modality(record(), "mammography")
    check_modality(record(modality=Modality.MG), "cad")
    named = record(modality=Modality.MG, laterality=Laterality.R, view_position=ViewPosition.CC)
    for known, model in (
        (named, "ultrasound"),
        (record(dataset="phantom"), "fusionview"),
        (record(dataset="busi", file="a.dcm"), "screening"),
    ):
        with pytest.raises(InvalidImageError, match="is required"):
            check_modality(known, model)
