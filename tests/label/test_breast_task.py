"""A request for one mammogram, through the server's routes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from fastapi.testclient import TestClient
from PIL import Image
from requests_toolbelt import MultipartDecoder
from tests.mammogram_patient import EXAM, PATIENT, SHAPE, SYSTEMS, write_checkpoint, write_patient

from breastlabel import champions
from breastlabel.catalog import sync_folder
from breastlabel.imaging import read_image, read_mask
from breastlabel.label import held_images
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.server import build_server

RCC, RMLO, LCC, LMLO = EXAM
PRIORS = (PATIENT + "prior-rcc", PATIENT + "prior-rmlo")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mammograms")
    write_patient(folder / "studies")
    for model in SYSTEMS:
        write_checkpoint(folder / "champions" / model, model)
    return folder


@pytest.fixture
def studies(pristine, tmp_path):
    return Path(shutil.copytree(pristine / "studies", tmp_path / "studies"))


@pytest.fixture
def app(studies, pristine, tmp_path, monkeypatch):
    monkeypatch.setattr(champions, "FOLDER", pristine / "champions")
    built = BreastLabelApp(str(tmp_path), str(studies), {"models": "mammography,fusionview,screening,cad"})
    yield built
    built.close()


@pytest.fixture
def client(app):
    with TestClient(
        build_server(app), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)
    ) as local:
        yield local


@pytest.fixture
def ask(client, tmp_path):
    """Asks for an image; gives params, and the file that came with them."""

    def ask(model, image, **options):
        answer = client.post(f"/infer/{model}", params={"image": image}, data={"params": json.dumps(options)})
        assert answer.status_code == 200, answer.text
        params, file = MultipartDecoder(answer.content, answer.headers["content-type"]).parts
        path = tmp_path / f"{model}.nrrd"
        path.write_bytes(file.content)
        return json.loads(params.text), path

    return ask


def roles(params):
    return {entry["image_id"]: entry["role"] for entry in params["sequence"]}


def test_the_request_for_r_cc_uses_r_mlo_and_the_r_priors_and_nothing_of_l(ask):
    params, file = ask("mammography", RCC)
    assert roles(params) == {RCC: "asked", RMLO: "view", PRIORS[0]: "prior", PRIORS[1]: "prior"}
    assert {left["reason"] for left in params["left_out"]} == {"the other breast"}
    assert len(params["left_out"]) == 4
    assert params["image_id"] == RCC
    assert params["breast"]["malignancy_probability"] == params["malignancy_probability"]
    assert params["breast"]["above_operating_point"] is None
    assert [finding["change"]["comparison"] for finding in params["findings"]] == ["compared"]
    mask = read_mask(file, shape=SHAPE)
    assert set(np.unique(mask)) == {0, params["label_names"][params["predicted_class"]]}
    stages = {"load", "read", "prepare", "forward", "restore", "write", "describe", "keep", "total"}
    assert stages <= params["latencies"].keys()


def test_the_masks_of_the_exams_other_views_are_kept_as_proposals(app, ask):
    params, file = ask("mammography", RCC, uncertainty_passes=2)
    assert params["proposals"] == [RMLO]
    assert params["breast"]["uncertainty"]["passes"] == 2
    assert set(app.catalog.labels.ids("original")) == {RCC, RMLO}, "priors are not read anew"
    kept = app.catalog.labels.current(RMLO, "original")
    assert (kept.model, kept.model_version) == ("mammography", params["checkpoint_version"])
    assert kept.info["params"]["image"]["view_position"] == "MLO"
    path = app.catalog.labels.path(kept)
    image = read_image(app.datastore().path(RMLO))
    assert read_mask(path, shape=image.shape).any()
    assert SimpleITK.ReadImage(str(path)).GetSpacing()[:2] == pytest.approx(image.spacing)
    # Asked for itself, it gets the same mask, and no second version of it is kept.
    again, file = ask("mammography", RMLO, uncertainty_passes=2)
    assert again["breast"]["class_probabilities"] == params["breast"]["class_probabilities"]
    assert read_mask(file).tolist() == read_mask(path).tolist()
    assert len(app.catalog.labels.history(RMLO)) == len(app.catalog.labels.history(RCC)) == 1


def test_an_older_exam_is_judged_without_what_came_later(app, ask):
    params, _ = ask("mammography", PRIORS[0])
    assert roles(params) == {PRIORS[0]: "asked", PRIORS[1]: "view"}
    assert set(app.catalog.labels.ids("original")) == set(PRIORS)


def test_a_view_that_cannot_be_read_is_left_out_with_the_reason(studies, ask):
    file = studies / f"{RMLO}.dcm"
    file.write_bytes(file.read_bytes()[:3000])
    params, _ = ask("mammography", RCC)
    assert RMLO not in roles(params)
    assert {"image_id": RMLO, "reason": "cannot be read"} in params["left_out"]
    assert params["proposals"] == []


def test_a_view_whose_file_is_gone_is_left_out_with_the_reason(studies, ask):
    (studies / f"{RMLO}.dcm").unlink()
    params, _ = ask("mammography", RCC)
    assert {"image_id": RMLO, "reason": "its file is missing"} in params["left_out"]


def test_what_cannot_be_analysed_is_refused_and_takes_no_part(app, client, ask):
    app.catalog.update_image(RMLO, metadata={"not_analysable": "spot view"})
    refused = client.post("/infer/mammography", params={"image": RMLO})
    assert refused.status_code == 422
    assert "standard view of a whole breast is required" in refused.json()["detail"]
    assert "(spot view)" in refused.json()["detail"]
    params, _ = ask("mammography", RCC)
    assert RMLO not in roles(params)


def test_an_image_asked_about_that_cannot_be_read_is_an_error(studies, client):
    file = studies / f"{RCC}.dcm"
    file.write_bytes(file.read_bytes()[:3000])
    refused = client.post("/infer/mammography", params={"image": RCC})
    assert refused.status_code == 422
    assert RCC in refused.json()["detail"]


@pytest.mark.parametrize("model", ["fusionview", "screening", "cad"])
def test_a_system_that_only_classifies_answers_with_a_mask_in_the_images_space(app, client, ask, model):
    params, file = ask(model, RCC)
    image = read_image(app.datastore().path(RCC))
    answered = SimpleITK.ReadImage(str(file))
    assert answered.GetSize() == (*image.shape[::-1], 1)
    assert answered.GetSpacing()[:2] == pytest.approx(image.spacing)
    mask = read_mask(file)
    if model == "cad":
        assert params["label_names"] == {"region of interest": 1}
        assert mask.any() == bool(params["regions"])
    else:
        assert not mask.any()
    assert params["predicted_class"] in ("benign", "malignant"), "the probabilities decide alone"
    assert sum(params["class_probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert app.catalog.counts().labelled == {}, "an empty mask is no proposal"
    saved = client.post(f"/infer/{model}", params={"image": RCC}, data={"params": '{"save_label": true}'})
    assert saved.status_code == 400
    assert "outlines lesions is required for save_label" in saved.json()["detail"]


def test_systems_look_at_what_they_were_built_for(ask):
    assert set(roles(ask("fusionview", RCC)[0])) == {RCC, RMLO}
    assert set(roles(ask("screening", RCC)[0])) == {RCC, RMLO, *PRIORS}
    assert set(roles(ask("cad", RCC)[0])) == {RCC}


@pytest.mark.parametrize("model", ["auto", *SYSTEMS])
def test_every_system_is_explained_by_a_heat_map(ask, model):
    params, file = ask("explain", RCC, explain_model=model, explain_class="malignant")
    assert params["explained_model"] == ("mammography" if model == "auto" else model)
    assert params["explained"] == "malignant"
    assert "label_names" not in params
    heat = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))[0]
    assert heat.shape == SHAPE
    assert 0 <= heat.min() <= heat.max() <= 1.0001


def test_explain_says_which_models_there_are(client):
    unknown = client.post(
        "/infer/explain", params={"image": RCC}, data={"params": '{"explain_model": "ultrasound"}'}
    )
    assert unknown.status_code == 400
    assert "explain_model must be one of auto, cad, fusionview, mammography" in unknown.json()["detail"]


def test_slicer_is_offered_outlines_only(client):
    models = client.get("/info/").json()["models"]
    assert models["mammography"]["type"] == "segmentation"
    assert models["mammography"]["labels"] == {"benign": 1, "malignant": 2}
    for model in ("fusionview", "screening", "cad"):
        assert models[model]["type"] == "classification"
        assert models[model]["labels"] == []
        assert models[model]["checkpoint_version"] is not None
    assert list(client.get("/info/").json()["trainers"]) == list(SYSTEMS)


def test_a_file_of_the_request_is_looked_at_alone(app, client):
    with app.datastore().path(RCC).open("rb") as file:
        answer = client.post("/infer/mammography", params={"output": "json"}, files={"file": ("x.dcm", file)})
    assert answer.status_code == 200
    params = answer.json()
    assert [entry["role"] for entry in params["sequence"]] == ["asked"]
    assert any("sent with the request" in note for note in params["notes"])
    assert app.catalog.counts().labelled == {}


def test_options_cannot_name_another_image(client, ask):
    params, _ = ask("mammography", RCC, image_id=LCC)
    assert params["image_id"] == RCC
    assert RCC in roles(params)


def test_a_second_look_reads_no_file(app, ask, monkeypatch):
    first, _ = ask("mammography", RCC)
    read = []
    monkeypatch.setattr(held_images, "read_image", lambda path, **options: read.append(path))
    again, _ = ask("mammography", RMLO)
    assert read == []
    assert again["breast"] == first["breast"]


def test_a_batch_is_of_images_that_the_model_analyses(app, client, studies):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 16), np.uint8)).save(studies / "us.png")
    app.datastore().refresh()
    asked = []
    app._infers["mammography"] = lambda request: asked.append(request["image_id"]) or ("", {})
    started = client.post("/batch/infer/mammography", json={})
    assert started.json()["total"] == 8
    app.batch.stop()
    assert "us" not in asked
    refused = client.post("/batch/infer/screening", json={})
    assert refused.status_code == 400
    assert "outlines lesions is required for a batch" in refused.json()["detail"]


def test_a_model_without_a_checkpoint_says_how_to_train_it(client, tmp_path, monkeypatch):
    monkeypatch.setattr(champions, "FOLDER", tmp_path)
    for model in (*SYSTEMS, "explain"):
        refused = client.post(f"/infer/{model}", params={"image": RCC})
        assert refused.status_code == 409
        name = "mammography" if model == "explain" else model
        assert f"'breastlabel train {name} --studies DIR" in refused.json()["detail"]


def test_sizes_are_in_mm_where_a_datasets_table_knows_the_spacing(app, studies, ask):
    """A PNG says nothing of its pixels' size."""
    pixels = read_image(studies / f"{RCC}.dcm").pixels
    grey = (255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8)
    Image.fromarray(grey).save(studies / "film_R_CC.png")
    sync_folder(studies, catalog=app.catalog)
    assert ask("mammography", "film_R_CC")[0]["image"]["spacing_mm"] is None
    app.catalog.update_images({"film_R_CC": {"spacing_rows": 0.2, "spacing_cols": 0.3}})
    params, _ = ask("mammography", "film_R_CC")
    assert params["image"]["spacing_mm"] == [0.2, 0.3]
    assert all(finding["length_unit"] == "mm" for finding in params["findings"])
