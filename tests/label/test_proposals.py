import logging
import time

import numpy as np
import pytest

from breastlabel.catalog import Catalog
from breastlabel.imaging import Geometry, Modality, read_image, write_image, write_mask
from breastlabel.label.infer import SegmentationTask, result_file
from breastlabel.label.proposals import keep_proposal

PARAMS = {"checkpoint_version": "20260101-aa", "label_names": {"benign": 1, "malignant": 2}}


@pytest.fixture
def catalog(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    write_image(folder / "a.nrrd", np.arange(8, dtype=np.uint8).reshape(2, 4), geometry=Geometry())
    with Catalog.open(folder) as opened:
        yield opened


@pytest.fixture
def answer(tmp_path):
    """Makes a model's answer of pixels."""

    def write(*rows):
        file = tmp_path / "answer.nrrd"
        write_mask(file, np.array(rows, np.uint8), geometry=Geometry())
        return file

    return write


def keep(catalog, file, params=PARAMS):
    return keep_proposal(catalog, "a", file, model="ultrasound", params=params)


def test_a_reading_is_known_to_start_from_the_proposal_shown_before_it(catalog, answer):
    kept = keep(catalog, answer((0, 2, 0, 0), (0, 0, 0, 0)))
    assert (kept.tag, kept.label, kept.model, kept.model_version) == (
        "original",
        "malignant",
        "ultrasound",
        "20260101-aa",
    )
    assert kept.info["params"]["label_names"] == {"benign": 1, "malignant": 2}
    reading = catalog.labels.save("a", b"reading")
    assert reading.proposal_id == kept.label_id
    assert catalog.counts().labelled == {"final": 1, "original": 1}


def test_a_proposals_class_is_the_worst_that_it_paints(catalog, answer):
    assert keep(catalog, answer((1, 1, 1, 0), (0, 0, 0, 2))).label == "malignant"


def test_a_proposal_does_not_make_an_image_read(catalog, answer):
    keep(catalog, answer((0, 2, 0, 0), (0, 0, 0, 0)))
    assert catalog.counts().waiting == 1


def test_asking_again_keeps_the_same_answer_once(catalog, answer):
    file = answer((0, 1, 0, 0), (0, 0, 0, 0))
    assert keep(catalog, file) is not None
    assert keep(catalog, file) is None
    assert len(catalog.labels.history("a")) == 1


@pytest.mark.parametrize("change", ["pixels", "model version", "a reading in between"])
def test_another_answer_or_one_after_a_reading_is_kept(catalog, answer, change):
    keep(catalog, answer((0, 1, 0, 0), (0, 0, 0, 0)))
    if change == "a reading in between":
        catalog.labels.save("a", b"reading")
    file = answer((0, 1, 1, 0), (0, 0, 0, 0)) if change == "pixels" else answer((0, 1, 0, 0), (0, 0, 0, 0))
    params = {**PARAMS, "checkpoint_version": "20260202-bb"} if change == "model version" else PARAMS
    again = keep(catalog, file, params)
    assert catalog.labels.save("a", b"next reading").proposal_id == again.label_id


def test_a_failure_is_logged_without_names_and_does_not_reach_the_reader(
    catalog, answer, monkeypatch, caplog
):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "/studies/secret-name.nrrd")

    monkeypatch.setattr(catalog.labels, "save", full)
    with caplog.at_level(logging.WARNING):
        assert keep(catalog, answer((0, 1, 0, 0), (0, 0, 0, 0))) is None
    assert "could not be kept: OSError" in caplog.text
    assert "secret-name" not in caplog.text


class FixedAnswer(SegmentationTask):
    """Outlines the same two pixels of every image."""

    def __init__(self, predictors):
        super().__init__("ultrasound", predictors, modality=Modality.US, description="")

    def __call__(self, request):
        image = read_image(request["image"])
        mask = np.zeros(image.shape, np.uint8)
        mask[3, 4:6] = 1
        with result_file(".nrrd") as path:
            write_mask(path, mask, geometry=image.geometry)
        return str(path), dict(PARAMS)


def test_what_the_server_proposes_is_compared_with_what_the_reader_saves(app, client, tmp_path):
    app._infers["ultrasound"] = FixedAnswer(app.predictors)
    answered = client.post("/infer/ultrasound", params={"image": "a", "output": "image"})
    assert answered.status_code == 200
    image = read_image(app.datastore().path("a"))
    corrected = np.zeros(image.shape, np.uint8)
    corrected[3, 4] = 1
    write_mask(tmp_path / "corrected.nii.gz", corrected, geometry=image.geometry)
    with (tmp_path / "corrected.nii.gz").open("rb") as file:
        saved = client.put("/datastore/label", params={"image": "a"}, files={"label": file})
    assert saved.status_code == 200
    assert app.corrections.wait(20)
    proposal, reading = client.get("/datastore/label/history", params={"image": "a"}).json()["versions"]
    assert (proposal["tag"], reading["model_version"]) == ("original", "20260101-aa")
    # One of two proposed pixels was taken away.
    assert reading["agreement"]["dice"] == pytest.approx(2 / 3)
    end = time.monotonic() + 20
    while not (told := client.get("/info/").json()["corrections"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [(entry["model_version"], entry["n"]) for entry in told] == [("20260101-aa", 1)]


def test_a_file_of_the_request_is_no_image_of_the_studies_and_leaves_no_proposal(app, client):
    app._infers["ultrasound"] = FixedAnswer(app.predictors)
    with app.datastore().path("a").open("rb") as file:
        answered = client.post("/infer/ultrasound", files={"file": ("a.png", file)})
    assert answered.status_code == 200
    assert app.catalog.counts().labelled == {}
