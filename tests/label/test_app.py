from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.config import settings

from breastlabel.errors import InvalidImageError, NotFoundError, StudiesError, UnknownNameError
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.errors import BadRequestError
from breastlabel.label.logs import configure_logging, without_names
from breastlabel.label.systems import selected_models

from .conftest import APP, FakeModel


def test_the_platform_finds_the_app_class() -> None:
    from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

    found = get_class_of_subclass_from_file("main", str(APP / "main.py"), "MONAILabelApp")
    assert found is BreastLabelApp


def test_models_are_chosen_by_name() -> None:
    everything = ["ultrasound", "mammography", "fusionview", "screening", "cad"]
    assert selected_models(None) == selected_models("all") == everything
    assert selected_models("mammography,ultrasound") == ["mammography", "ultrasound"]
    assert selected_models(" ultrasound , ultrasound") == ["ultrasound"]
    with pytest.raises(UnknownNameError, match=r"models must be one of all, cad, .*ultrasound; got 'ct'"):
        selected_models("ultrasound,ct")


def test_an_unknown_model_stops_the_start_with_the_reason(
    studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnknownNameError):
        BreastLabelApp(str(tmp_path), str(studies), {"models": "ct"})
    assert "breastlabel cannot start: models must be one of all, cad, " in caplog.text


def test_a_url_of_the_server_itself_names_no_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "MONAI_LABEL_SERVER_PORT", 8123)
    with pytest.raises(StudiesError, match="got that of this server itself"):
        BreastLabelApp(str(tmp_path), "http://localhost:8123/dicom-web", {})
    assert "breastlabel cannot start: the DICOMweb address of a PACS is required" in caplog.text


def test_the_environments_programs_are_found_without_activation(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    BreastLabelApp(str(tmp_path), str(studies), {})
    assert os.environ["PATH"].split(os.pathsep)[0] == str(Path(sys.prefix) / "bin")


def test_inference_takes_ids_only_and_hands_on_no_names(app: BreastLabelApp, model: FakeModel) -> None:
    result = app.infer({"model": "ultrasound", "image": "a", "superpixels": "on"})
    Path(result["file"]).unlink()
    assert Path(model.asked[0]["image"]).name == "a.png"
    assert result["params"]["image_id"] == "a"
    for image in ("/etc/passwd", str(Path(__file__)), "../a"):
        with pytest.raises(NotFoundError):
            app.infer({"model": "ultrasound", "image": image})
    with pytest.raises(NotFoundError, match=r"model must be one of cad, explain, .*; got 'ct'"):
        app.infer({"model": "ct", "image": "a"})
    assert len(model.asked) == 1


def test_a_mask_can_be_saved_as_a_proposal(app: BreastLabelApp) -> None:
    Path(app.infer({"model": "ultrasound", "image": "a", "save_label": True})["file"]).unlink()
    store = app.datastore()
    assert store.label_file("a", "original").is_file()
    assert store.get_label_info("a", "original")["params"]["label_names"] == {"benign": 1, "malignant": 2}
    assert store.status()["completed"] == 0, "a proposal is no reading"


def test_a_proposal_that_cannot_be_saved_leaves_no_file_behind(
    app: BreastLabelApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(BadRequestError, match="tag must be a plain word"):
        app.infer({"model": "ultrasound", "image": "a", "save_label": True, "label_tag": "../x"})
    assert list(folder.iterdir()) == []


def test_reserved_options_do_not_reach_a_task(app: BreastLabelApp) -> None:
    given = {"image": "a", "label": "/etc/passwd", "_id": 3, "superpixels": "on", "model": "ultrasound"}
    assert app.checked_options(given, image="a", model="ultrasound") == {"superpixels": "on"}
    with pytest.raises(BadRequestError, match="another image"):
        app.checked_options({"image": "/etc/passwd"}, image="a", model="ultrasound")
    with pytest.raises(BadRequestError, match="JSON object"):
        app.checked_options([1], image="a", model="ultrasound")


def test_next_sample_passes_unreadable_images_over(app: BreastLabelApp, studies: Path) -> None:
    (studies / "a.png").write_bytes(b"no image")
    sample = app.next_sample({"strategy": "first"})
    assert sample["id"] == "b"
    assert set(sample["unreadable"]) == {"a"}
    assert "unreadable" not in app.next_sample({"strategy": "first"})


def test_a_folder_of_damaged_images_does_not_hold_a_request_up_for_ever(
    app: BreastLabelApp, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (studies / f"{name}.png").write_bytes(b"no image")
    monkeypatch.setattr("breastlabel.label.next_sample.MOST_UNREADABLE", 2)
    with pytest.raises(InvalidImageError, match="2 in a row cannot; check the folder"):
        app.next_sample({"strategy": "first"})
    assert app.next_sample({"strategy": "first"})["id"] == "c"


def test_next_sample_is_empty_where_every_image_is_labelled(app: BreastLabelApp, tmp_path: Path) -> None:
    from breastlabel.imaging import Geometry, write_mask

    write_mask(tmp_path / "m.nii.gz", np.zeros((12, 16), np.uint8), geometry=Geometry())
    for image in "abc":
        app.datastore().save_label(image, str(tmp_path / "m.nii.gz"), "final", {})
    assert app.next_sample({"strategy": "random"}) == {}
    with pytest.raises(NotFoundError, match=r"strategy must be one of badge, .*; got 'x'"):
        app.next_sample({"strategy": "x"})


def test_neither_requests_nor_queries_are_logged() -> None:
    configure_logging()
    configure_logging()
    assert not logging.getLogger("monailabel.endpoints.infer").isEnabledFor(logging.INFO)
    assert not logging.getLogger("monailabel.datastore.local").isEnabledFor(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    assert len(access.filters) == 1
    args: Any = ("127.0.0.1:5", "GET", "/datastore/image?image=4711", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)
    assert access.filter(record)
    assert record.getMessage() == '127.0.0.1:5 - "GET /datastore/image HTTP/1.1" 200'


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (
            "/dicom-web/studies/1.2.3/series/4.5/instances/6/frames/1",
            "/dicom-web/studies/*/series/*/instances/*/frames/1",
        ),
        ("/dicom-web/studies/1.2.3?x=Doe", "/dicom-web/studies/*"),
        ("/dicom-web/studies?PatientID=4711", "/dicom-web/studies"),
        ("/api/images/4711%5E/thumbnail.png?size=64", "/api/images/*/thumbnail.png"),
        ("/infer/ultrasound?image=4711", "/infer/ultrasound"),
    ],
)
def test_no_image_and_no_study_is_named_in_the_log(path: str, logged: str) -> None:
    assert without_names(path) == logged


def test_the_newest_training_is_the_one_that_slicers_bar_shows(
    app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module reads the first entry of train_stats, whichever that is."""
    assert list(app.info()["train_stats"])[:2] == ["ultrasound", "mammography"]
    monkeypatch.setattr(app.jobs, "latest", lambda: {"request": {"model": "mammography"}})
    assert list(app.info()["train_stats"])[:2] == ["mammography", "ultrasound"]
