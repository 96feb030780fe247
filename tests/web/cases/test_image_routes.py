from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient

from breastlabel.findings.dicom_identity import is_ours
from breastlabel.imaging import read_mask
from breastlabel.label.app import BreastLabelApp
from breastlabel.web.cases import pictures

from .conftest import MG, US, propose

PNG = b"\x89PNG\r\n\x1a\n"


def picture(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_thumbnail_is_a_small_grey_png_and_is_made_once(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.get(f"/api/images/{MG}-rcc/thumbnail.png?size=64")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert picture(answer.content).shape == (64, 48)
    monkeypatch.setattr(pictures, "read_image", None)
    assert client.get(f"/api/images/{MG}-rcc/thumbnail.png?size=64").content == answer.content
    kept = list((Path(app.studies) / ".breastlabel" / "cache" / ".pictures").glob("*/*.png"))
    assert len(kept) == 1
    assert MG not in str(kept[0])


def test_nothing_but_images_of_the_folder_can_be_had(client: TestClient) -> None:
    for name in ("none", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 300, "%2Fetc%2Fpasswd"):
        for what in ("thumbnail.png", "overlay.png", "segmentation.dcm", "report.dcm"):
            answer = client.get(f"/api/images/{name}/{what}")
            assert answer.status_code in (404, 422), (name, what)


def test_an_overlay_holds_the_outline_on_nothing_or_in_the_image(
    client: TestClient, app: BreastLabelApp, tmp_path: Path
) -> None:
    assert client.get(f"/api/images/{US}/overlay.png").status_code == 404
    propose(app.catalog, US, tmp_path)
    overlay = picture(client.get(f"/api/images/{US}/overlay.png").content)
    assert overlay.shape == (96, 120, 4)
    painted = np.argwhere(overlay[..., 3] > 0)
    assert painted.min(axis=0).tolist() == [10, 20]
    assert painted.max(axis=0).tolist() == [12, 23]
    drawn = picture(client.get(f"/api/images/{US}/overlay.png?background=true").content)
    assert drawn.shape[2] == 3
    assert drawn.shape[0] / drawn.shape[1] == pytest.approx(96 / 120, abs=0.01)
    assert client.get(f"/api/images/{US}/overlay.png?tag=final").status_code == 404
    assert client.get(f"/api/images/{US}/overlay.png?tag=../x").status_code == 422


def test_the_champion_of_the_modality_reads_an_image_and_its_answer_is_stored(
    client: TestClient, app: BreastLabelApp
) -> None:
    answer = client.post(f"/api/images/{US}/run", json={"client_id": "anna"})
    assert answer.status_code == 200, answer.text
    result, segmentation = answer.json()["result"], answer.json()["segmentation"]
    assert result["model"] == "ultrasound"
    assert result["checkpoint_version"] == app.predictors.version("ultrasound")
    assert result["of_older_model"] is False
    assert sum(result["class_probabilities"].values()) == pytest.approx(1, abs=1e-4)
    stored = app.archive.dataset(segmentation["sop_instance_uid"])
    source = app.catalog.dicom.of_image(US)
    assert source is not None
    assert (stored.Modality, stored.StudyInstanceUID) == ("SEG", source.study_instance_uid)
    assert is_ours(stored)
    (report,) = app.catalog.dicom.find(study=source.study_instance_uid, modality="SR")
    assert is_ours(app.archive.dataset(report.sop_instance_uid))
    again = client.post(f"/api/images/{US}/run", json={}).json()
    assert again["segmentation"] == segmentation
    assert len(app.catalog.dicom.find(study=source.study_instance_uid)) == 3, "image, SEG, SR: once each"
    assert len(app.catalog.labels.history(US)) == 1
    found = client.get("/api/cases/find", params={"image_id": US}).json()
    assert found["images"][0]["result"] == result
    assert found["images"][0]["segmentation"] == segmentation


def test_a_mammogram_is_read_with_the_other_view_of_its_breast(
    client: TestClient, app: BreastLabelApp
) -> None:
    answer = client.post(f"/api/images/{MG}-rcc/run", json={"client_id": "anna"})
    assert answer.status_code == 200, answer.text
    case = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc"}).json()
    rcc, rmlo, lcc, lmlo = case["images"]
    assert None not in (rcc["segmentation"], rmlo["segmentation"])
    assert rcc["segmentation"] != rmlo["segmentation"]
    assert (lcc["result"], lmlo["result"]) == (None, None)
    (breast,) = case["breasts"]
    assert (breast["laterality"], breast["images"]) == ("R", [f"{MG}-rcc", f"{MG}-rmlo"])
    assert 0 <= breast["malignancy_probability"] <= 1
    (report,) = app.catalog.dicom.find(study=rcc["study_instance_uid"], modality="SR")
    dataset = app.archive.dataset(report.sop_instance_uid)
    priors = {
        str(reference.ReferencedSOPInstanceUID)
        for study in dataset.PertinentOtherEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    older = {image["sop_instance_uid"] for image in case["priors"][0]["images"] if image["laterality"] == "R"}
    assert priors == older


def test_what_cannot_be_run_is_refused_with_the_remedy(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from breastlabel.errors import CheckpointError

    assert client.post("/api/images/none/run", json={}).status_code == 404
    for model in ("screening", "explain", "best"):
        answer = client.post(f"/api/images/{MG}-rcc/run", json={"model": model})
        assert answer.status_code == 400
        assert "outlines lesions is required" in answer.json()["detail"]
    other = client.post(f"/api/images/{MG}-rcc/run", json={"model": "ultrasound"})
    assert other.status_code == 422

    def untrained(*_: object, **__: object) -> None:
        raise CheckpointError("a trained checkpoint of ultrasound is required; train one")

    monkeypatch.setattr(app.predictors, "predictor", untrained)
    answer = client.post(f"/api/images/{US}/run", json={})
    assert answer.status_code == 409
    assert "train one" in answer.json()["detail"]


def test_a_proposal_of_a_viewer_gets_its_segmentation_when_the_case_is_opened(
    client: TestClient, app: BreastLabelApp
) -> None:
    assert client.post(f"/infer/ultrasound?image={US}&output=json").status_code == 200
    assert app.catalog.dicom.find(modality="SEG") == []
    found = client.get("/api/cases/find", params={"image_id": US}).json()
    (segmentation,) = app.catalog.dicom.find(modality="SEG")
    assert found["images"][0]["segmentation"]["sop_instance_uid"] == segmentation.sop_instance_uid


def test_an_archive_that_takes_nothing_does_not_keep_the_answer_back(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", f"/data/{US}.dcm")

    monkeypatch.setattr(app.archive, "store", full)
    answer = client.post(f"/api/images/{US}/run", json={}).json()
    assert answer["result"]["model"] == "ultrasound"
    assert answer["segmentation"] is None
    assert "could not be stored" in caplog.text
    assert US not in caplog.text


def test_the_downloads_are_dicom_objects_that_refer_to_the_image(
    client: TestClient, app: BreastLabelApp
) -> None:
    client.post(f"/api/images/{US}/run", json={})
    client.post(f"/api/images/{US}/accept", json={"client_id": "anna"})
    source = app.catalog.dicom.of_image(US)
    assert source is not None
    for path, modality in (
        ("segmentation.dcm", "SEG"),
        ("segmentation.dcm?tag=final", "SEG"),
        ("report.dcm", "SR"),
    ):
        answer = client.get(f"/api/images/{US}/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/dicom"
        assert US not in answer.headers["content-disposition"]
        dataset = pydicom.dcmread(io.BytesIO(answer.content))
        assert (dataset.Modality, dataset.StudyInstanceUID) == (modality, source.study_instance_uid)
    assert client.get(f"/api/images/{MG}-rcc/segmentation.dcm").status_code == 404
    assert client.get(f"/api/images/{MG}-rcc/report.dcm").status_code == 404


def test_a_heat_map_is_laid_over_the_image(client: TestClient) -> None:
    answer = client.get(f"/api/images/{US}/overlay.png?layer=heatmap")
    assert answer.status_code == 200, answer.text
    heat = picture(answer.content)
    assert heat.shape == (96, 120, 4)
    assert client.get(f"/api/images/{US}/overlay.png?layer=heatmap").content == answer.content
    drawn = picture(client.get(f"/api/images/{US}/overlay.png?layer=heatmap&background=true").content)
    assert drawn.shape[2] == 3


def test_accepting_makes_the_proposal_the_readers_final_label(
    client: TestClient, app: BreastLabelApp, tmp_path: Path
) -> None:
    propose(app.catalog, US, tmp_path, version="v7")
    case = client.post("/api/cases/next", json={"client_id": "anna", "modality": "US"}).json()
    said = {
        "client_id": "anna",
        "author": "Dr. A",
        "birads": "4a",
        "lesion_type": "mass",
        "seconds_spent": 12.5,
        "proposal_version": 1,
    }
    answer = client.post(f"/api/images/{US}/accept", json=said)
    assert answer.json() == {"version": 2, "state": "final"}
    final = app.catalog.labels.current(US)
    assert final is not None
    assert (final.author, final.client_id, final.label) == ("Dr. A", "anna", "malignant")
    assert (final.model, final.model_version, final.seconds_spent) == ("ultrasound", "v7", 12.5)
    assert (final.info["birads"], final.info["lesion_type"]) == ("4A", "mass")
    assert read_mask(app.catalog.labels.path(final)).sum() == 24
    assert app.corrections.wait(30)
    measured = app.catalog.labels.current(US)
    assert measured is not None
    assert measured.agreement is not None
    assert measured.agreement["unchanged"] is True
    assert US not in {lease.image_id for lease in app.catalog.leases.live()} or US not in str(case)
    assert client.post(f"/api/images/{US}/accept", json=said).json()["version"] == 2, "sent twice, saved once"
    assert client.post(f"/api/images/{US}/accept", json={**said, "birads": "5"}).json()["version"] == 3


def test_what_cannot_be_accepted_is_refused(client: TestClient, app: BreastLabelApp, tmp_path: Path) -> None:
    refused = client.post(f"/api/images/{US}/accept", json={"client_id": "anna"})
    assert refused.status_code == 409
    assert "run the AI first" in refused.json()["detail"]
    propose(app.catalog, US, tmp_path, version="v1")
    propose(app.catalog, US, tmp_path, version="v2")
    changed = client.post(f"/api/images/{US}/accept", json={"proposal_version": 1})
    assert changed.status_code == 409
    assert "version 2" in changed.json()["detail"]
    for said in ({"birads": "7"}, {"lesion_type": "spot"}, {"seconds_spent": -1}, {"proposal_version": "x"}):
        assert client.post(f"/api/images/{US}/accept", json=said).status_code == 400
    assert client.post("/api/images/none/accept", json={}).status_code == 404
    assert app.catalog.labels.current(US) is None
