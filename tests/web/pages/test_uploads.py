"""Reading an upload: pictures, figures, files to keep, one-line reasons, and nothing that stays unasked."""

from __future__ import annotations

import io
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient

from breastlabel.findings.result import NOTICE
from breastlabel.imaging import read_mask
from breastlabel.label.app import BreastLabelApp
from breastlabel.web.pages.reading_report import write_reading_report

from .conftest import MG, US, finished


def upload(client: TestClient, file: Path | bytes, *, name: str = "image", **form: str) -> Any:
    content = file if isinstance(file, bytes) else file.read_bytes()
    sent = name + ("" if isinstance(file, bytes) else file.suffix)
    return client.post("/api/readings", files={"file": (sent, content)}, data=form)


def read(client: TestClient, file: Path, **form: str) -> dict[str, Any]:
    """A reading that is done."""
    answer = upload(client, file, **form)
    assert answer.status_code == 202, answer.text
    reading = finished(client, answer.json())
    assert reading["state"] == "done", reading["reason"]
    return reading


def picture(client: TestClient, reading: dict[str, Any], name: str) -> np.ndarray[Any, Any]:
    answer = client.get(f"/api/readings/{reading['id']}/pictures/{name}.png")
    assert answer.status_code == 200
    decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return decoded


@pytest.fixture(scope="module")
def ultrasound(client: TestClient, phantoms: Path) -> dict[str, Any]:
    return read(client, phantoms / f"{US}.png", model="ultrasound", code="C-017", age="54", side="L")


@pytest.fixture(scope="module")
def mammogram(client: TestClient, phantoms: Path) -> dict[str, Any]:
    return read(client, phantoms / f"{MG}.dcm", density="C")


def test_an_ultrasound_is_told_in_figures(ultrasound: dict[str, Any], app: BreastLabelApp) -> None:
    result = ultrasound["result"]
    params = result["params"]
    assert result["model"] == "ultrasound"
    assert params["checkpoint_version"] == app.predictors.version("ultrasound")
    assert sum(params["class_probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
    assert params["uncertainty"]["passes"] == 20
    assert 0 <= params["uncertainty"]["class_entropy"] <= np.log(3) + 1e-6
    assert result["form"] == {"code": "C-017", "age": 54.0, "side": "L", "view": None, "density": None}
    assert [p["name"] for p in result["pictures"]] == ["original", "outline", "heat", "enhanced"]


def test_the_answer_is_that_of_the_command_line(ultrasound: dict[str, Any], phantoms: Path) -> None:
    from breastlabel.champions import FOLDER
    from breastlabel.imaging import Modality, read_image
    from breastlabel.inference import Predictor

    image = read_image(phantoms / f"{US}.png", modality=Modality.US)
    prediction = Predictor(FOLDER / "ultrasound", device="cpu").predict(image)
    params = ultrasound["result"]["params"]
    assert params["class_probabilities"] == pytest.approx(dict(prediction.class_probabilities), abs=1e-5)
    assert params["predicted_class"] == prediction.predicted.label


def test_pictures_lie_over_each_other(client: TestClient, mammogram: dict[str, Any]) -> None:
    names = [p["name"] for p in mammogram["result"]["pictures"]]
    assert names == ["original", "outline", "heat", "enhanced", "thresholded", "regions"]
    shapes = {picture(client, mammogram, name).shape[:2] for name in names}
    # 256 x 208, enlarged until the shorter side has 512 pixels.
    assert shapes == {(630, 512)}
    heat = picture(client, mammogram, "heat")
    assert heat.ndim == 2
    assert heat.max() == 255
    original, enhanced = (picture(client, mammogram, n).astype(float) for n in ("original", "enhanced"))
    breast = original[..., 0] > 40
    inside, outside = enhanced[breast].mean(), enhanced[~breast].mean()
    assert inside > outside + 40, "the prepared breast is shown where the breast is"


def test_a_mammogram_says_what_it_is_and_what_was_typed_counts(mammogram: dict[str, Any]) -> None:
    result = mammogram["result"]
    assert result["model"] == "mammography"
    assert (result["form"]["side"], result["form"]["view"]) == ("R", "MLO")
    assert result["form"]["density"] == "C"
    assert result["above_operating_point"] in (True, False)


def test_the_report_tells_the_same(client: TestClient, ultrasound: dict[str, Any]) -> None:
    answer = client.get(f"/api/readings/{ultrasound['id']}/report")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert NOTICE in answer.text
    assert "C-017" in answer.text
    assert f"<td>{ultrasound['result']['params']['malignancy_probability']:.3f}</td>" in answer.text
    assert "data:image/png;base64," in answer.text


def test_the_report_says_of_a_breast_whether_its_cancer_is_invasive(
    mammogram: dict[str, Any], tmp_path: Path
) -> None:
    def written(**breast: float) -> str:
        result = mammogram["result"] | {"params": mammogram["result"]["params"] | {"breast": breast}}
        write_reading_report(tmp_path / "r.html", result, [], fingerprint="f", written=date(2026, 1, 2))
        return (tmp_path / "r.html").read_text()

    assert "invasive cancer, if malignant</th><td>0.842</td>" in written(invasive_probability=0.8419)
    assert "invasive" not in written()


@pytest.mark.slow
def test_cad_has_the_report_of_its_paper(client: TestClient, phantoms: Path) -> None:
    reading = read(client, phantoms / f"{MG}.dcm", model="cad", code="C-018", age="61", density="B")
    titles = {d["title"]: d["href"] for d in reading["result"]["downloads"]}
    assert set(titles) == {"Report", "Report (PDF)", "DICOM SEG", "DICOM SR"}
    base = f"/api/readings/{reading['id']}"
    page = client.get(base + titles["Report"]).text
    assert "computer-aided diagnosis" in page
    assert NOTICE in page
    assert client.get(base + titles["Report (PDF)"]).content.startswith(b"%PDF")
    assert client.get(base + "/report?name=../image.dcm").status_code == 404


def test_its_outlines_leave_as_dicom(client: TestClient, mammogram: dict[str, Any], phantoms: Path) -> None:
    source = pydicom.dcmread(phantoms / f"{MG}.dcm")
    base = f"/api/readings/{mammogram['id']}"
    segmentation = pydicom.dcmread(io.BytesIO(client.get(f"{base}/segmentation.dcm").content))
    assert segmentation.Modality == "SEG"
    assert segmentation.StudyInstanceUID == source.StudyInstanceUID
    assert (segmentation.Rows, segmentation.Columns) == (256, 208)
    report = pydicom.dcmread(io.BytesIO(client.get(f"{base}/report.dcm").content))
    assert report.Modality == "SR"
    assert report.StudyInstanceUID == source.StudyInstanceUID


def test_an_upload_that_is_no_dicom_has_none(client: TestClient, ultrasound: dict[str, Any]) -> None:
    assert [d["title"] for d in ultrasound["result"]["downloads"]] == ["Report"]
    answer = client.get(f"/api/readings/{ultrasound['id']}/segmentation.dcm")
    assert answer.status_code == 422
    assert "DICOM" in answer.json()["detail"]


def test_a_picture_of_another_name_is_no_file(client: TestClient, mammogram: dict[str, Any]) -> None:
    for name in ("image", "..%2Fimage", "mask"):
        assert client.get(f"/api/readings/{mammogram['id']}/pictures/{name}.png").status_code == 404


@pytest.mark.parametrize(
    ("content", "name", "form", "status", "reason"),
    [
        (b"a text, and no image", "notes.txt", {"model": "ultrasound"}, 422, "a file of type"),
        (b"a text, and no image", "notes.png", {"model": "ultrasound"}, 422, "image.png"),
        (b"", "empty.dcm", {}, 422, "image.dcm"),
        (b"\x89PNG\r\n\x1a\n", "cut.png", {"model": "mammography"}, 422, "image.png"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(
    client: TestClient, content: bytes, name: str, form: dict[str, str], status: int, reason: str
) -> None:
    answer = upload(client, content, name=name, **form)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert reason in detail
    assert "\n" not in detail
    assert "notes" not in detail, "the upload's name may be a patient's"


def test_a_cut_dicom_file_is_refused(client: TestClient, phantoms: Path) -> None:
    whole = (phantoms / f"{MG}.dcm").read_bytes()
    for size in (200, 1500, len(whole) // 2):
        answer = upload(client, whole[:size], name="cut.dcm", model="mammography")
        assert answer.status_code == 422, size
        assert "\n" not in answer.json()["detail"]


def test_an_ultrasound_is_no_mammogram(client: TestClient, phantoms: Path) -> None:
    answer = upload(client, phantoms / f"{US}.png", model="mammography")
    reading = finished(client, answer.json())
    assert reading["state"] == "failed"
    assert "mammogram" in reading["reason"]
    assert client.get(f"/api/readings/{reading['id']}/report").status_code == 409


def test_a_mammogram_is_no_ultrasound(client: TestClient, phantoms: Path) -> None:
    answer = upload(client, phantoms / f"{MG}.dcm", model="ultrasound")
    assert answer.status_code == 422
    assert "modality" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "choose what to analyse it as"),
        ({"model": "ultrasound", "age": "old"}, "age"),
        ({"model": "ultrasound", "age": "-3"}, "age"),
        ({"model": "ultrasound", "side": "up"}, "side"),
        ({"model": "ultrasound", "code": "x" * 65}, "code"),
        ({"model": "no-such"}, "model"),
        ({"model": "ultrasound", "image_id": US}, "not both"),
    ],
)
def test_a_form_that_cannot_be_is_refused(
    client: TestClient, phantoms: Path, form: dict[str, str], reason: str
) -> None:
    answer = upload(client, phantoms / f"{US}.png", **form)
    assert answer.status_code in (400, 404), answer.text
    assert reason in answer.json()["detail"]


def test_neither_file_nor_image_is_refused(client: TestClient) -> None:
    assert client.post("/api/readings", data={"model": "ultrasound"}).status_code == 400


def test_an_image_of_the_studies_is_read_with_its_breast(client: TestClient) -> None:
    answer = client.post("/api/readings", data={"image_id": MG, "code": "C-1"})
    reading = finished(client, answer.json())
    assert reading["state"] == "done", reading["reason"]
    result = reading["result"]
    assert result["image_id"] == MG
    assert [view["view_position"] for view in result["params"]["sequence"]] == ["CC", "MLO"]
    assert [view["role"] for view in result["params"]["sequence"]] == ["view", "asked"]
    assert client.post(f"/api/readings/{reading['id']}/keep").status_code == 409
    assert client.get(f"/api/readings/{reading['id']}/segmentation.dcm").status_code == 200


def test_an_image_of_the_studies_needs_a_model_for_it(client: TestClient) -> None:
    answer = client.post("/api/readings", data={"image_id": MG, "model": "ultrasound"})
    assert answer.status_code == 422
    assert client.post("/api/readings", data={"image_id": "../passwd"}).status_code == 404


def test_a_blinded_reader_reads_first(
    app: BreastLabelApp, client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from breastlabel.imaging import read_image, write_mask

    monkeypatch.setenv("BREASTLABEL_BLINDED", "1")
    asked = {"image_id": US, "client_id": "web-1"}
    answer = client.post("/api/readings", data=asked)
    assert answer.status_code == 409
    assert "reading of one's own" in answer.json()["detail"]
    image = read_image(app.catalog.path(app.catalog.image(US)))
    file = tmp_path / "reading.nrrd"
    write_mask(file, np.zeros(image.shape, np.uint8), geometry=image.geometry)
    app.datastore().save(US, file, "final", {"client_id": "web-1", "label_info": []})
    assert client.post("/api/readings", data=asked).status_code == 202
    assert client.post("/api/readings", data={**asked, "client_id": "web-2"}).status_code == 409


def test_nothing_of_an_upload_stays(client: TestClient, app: BreastLabelApp, phantoms: Path) -> None:
    before = set(app.datastore().list_images())
    reading = read(client, phantoms / f"{US}.png", model="ultrasound")
    folders = list(Path(tempfile.gettempdir()).glob(f"breastlabel-readings-*/{reading['id']}"))
    assert len(folders) == 1
    assert oct(folders[0].stat().st_mode & 0o777) == "0o700"
    assert read_mask(folders[0] / "mask.nrrd").shape == (96, 120)
    assert client.delete(f"/api/readings/{reading['id']}").status_code == 204
    assert not folders[0].exists()
    assert client.get(f"/api/readings/{reading['id']}").status_code == 404
    assert set(app.datastore().list_images()) == before


def test_an_upload_is_kept_when_somebody_says_so(
    client: TestClient, app: BreastLabelApp, phantoms: Path
) -> None:
    ids = []
    for side, name in (("L", US), ("R", "phantom-9-0002-a")):
        reading = read(
            client,
            phantoms / f"{name}.png",
            model="ultrasound",
            code="C-42",
            side=side,
            age="50",
            density="B",
        )
        answer = client.post(f"/api/readings/{reading['id']}/keep")
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["image_id"])
        assert client.post(f"/api/readings/{reading['id']}/keep").status_code == 409
    left, right = (app.catalog.image(image_id) for image_id in ids)
    assert (left.laterality, right.laterality) == ("L", "R")
    assert left.metadata["age"] == 50
    assert left.metadata["density"] == "B"
    # One patient by the code, which stands nowhere; so both are in one split.
    assert left.patient_key == right.patient_key
    assert left.split == right.split is not None
    for record in (left, right):
        assert "C-42" not in f"{record.image_id} {record.file} {record.patient_key} {record.metadata}"
    assert app.catalog.audit.entries(ids[1])[0].action == "image.upload"
