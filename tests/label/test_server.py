from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from breastlabel.label.app import BreastLabelApp
from breastlabel.label.errors import status_of

from .conftest import FakeModel


def test_others_are_answered_at_once_while_an_inference_runs(client: TestClient, model: FakeModel) -> None:
    model.go_on.clear()
    slow = threading.Thread(target=client.post, args=("/infer/ultrasound?image=a",))
    slow.start()
    try:
        assert model.entered.wait(10)
        for path in ("/info/", "/", "/datastore/?output=all", "/datastore/image?image=b", "/auth/"):
            began = time.monotonic()
            assert client.get(path).status_code == 200
            assert time.monotonic() - began < 2.0
        assert client.post("/activelearning/first", json={}).json()["id"] == "a"
        assert slow.is_alive()
    finally:
        model.go_on.set()
        slow.join(10)
    assert not slow.is_alive()


def test_a_queue_that_is_full_is_answered_with_503(
    client: TestClient, app: BreastLabelApp, model: FakeModel
) -> None:
    from breastlabel.label.gate import InferenceGate

    app.gate = InferenceGate(running=1, waiting=0)
    model.go_on.clear()
    slow = threading.Thread(target=client.post, args=("/infer/ultrasound?image=a",))
    slow.start()
    try:
        assert model.entered.wait(10)
        answer = client.post("/infer/ultrasound?image=b")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    finally:
        model.go_on.set()
        slow.join(10)


@pytest.mark.parametrize(
    ("output", "kind"),
    [("all", "multipart/form-data"), ("json", "application/json"), ("image", "application/octet-stream")],
)
def test_an_answer_is_mask_and_params_or_one_of_them(client: TestClient, output: str, kind: str) -> None:
    answer = client.post(f"/infer/ultrasound?image=a&output={output}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


def test_temporary_files_do_not_stay(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for output in ("all", "json", "image"):
        assert client.post(f"/infer/ultrasound?image=a&output={output}").status_code == 200
    with open(__file__, "rb") as file:
        answer = client.post("/infer/ultrasound", files={"file": ("x.png", file)})
    assert answer.status_code == 422
    assert list(temporary.iterdir()) == []


def test_an_uploaded_image_is_analysed_without_being_stored(client: TestClient, studies: Path) -> None:
    with (studies / "a.png").open("rb") as file:
        answer = client.post("/infer/ultrasound?output=json", files={"file": ("C:\\4711\\x.png", file)})
    assert answer.status_code == 200
    assert len(list(studies.glob("*.png"))) == 3


def test_a_fault_of_the_program_is_a_500_that_tells_nothing(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("patient 4711 in /data")

    monkeypatch.setattr(app, "infer", broken)
    answer = client.post("/infer/ultrasound?image=a")
    assert answer.status_code == 500
    assert "4711" not in answer.text
    assert "RuntimeError" in answer.json()["detail"]


def test_a_full_disk_is_said_in_words(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "/data/4711.nrrd")

    monkeypatch.setattr(app, "infer", full)
    answer = client.post("/infer/ultrasound?image=a")
    assert answer.status_code == 507
    assert "disk is full" in answer.json()["detail"]
    assert "4711" not in answer.text
    assert status_of(OSError(13, "denied")) == 500


def test_a_request_that_does_not_fit_is_told_why_without_its_content(client: TestClient) -> None:
    answer = client.put("/datastore/label?image=4711", data={"params": "secret"})
    assert answer.status_code == 422
    assert answer.json() == {"detail": "body.label: Field required"}


def test_other_machines_web_pages_get_no_cors_headers(client: TestClient) -> None:
    own = client.get("/info/", headers={"Origin": "http://localhost:3000"})
    assert own.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert (
        "access-control-allow-origin"
        not in client.get("/info/", headers={"Origin": "http://evil.example"}).headers
    )


def test_a_batch_that_is_stopped_keeps_what_it_stored(
    client: TestClient, app: BreastLabelApp, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.predictors, "folder", lambda _: Path())
    model.go_on.clear()
    assert client.post("/batch/infer/ultrasound", json={}).json()["total"] == 3
    assert model.entered.wait(10)
    assert client.get("/batch/infer?check_if_running=true").status_code == 200
    assert client.post("/batch/infer/ultrasound", json={}).status_code == 429
    stopping = threading.Thread(target=client.delete, args=("/batch/infer",))
    stopping.start()
    time.sleep(0.1)
    model.go_on.set()
    stopping.join(10)
    status = client.get("/batch/infer").json()
    assert status["status"] == "STOPPED"
    assert 1 <= status["done"] < 3
    assert len(app.datastore().get_labeled_images("original")) == status["done"]
    assert client.get("/batch/infer?check_if_running=true").status_code == 404


def test_the_schema_can_be_read(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {
        "/info/",
        "/infer/{model}",
        "/datastore/label",
        "/activelearning/{strategy}",
        "/train/{model}",
    } <= set(paths)
    assert "/reload" not in paths
    assert set(paths["/model/{model}"]) == {"get"}


def test_the_home_page_says_what_to_do(client: TestClient) -> None:
    page = client.get("/").text
    assert "0 of 3 images have a label" in page
    assert "research" in page


def test_the_stock_application_answers_with_ours(app: BreastLabelApp) -> None:
    from monailabel.app import app as stock

    from breastlabel.label.server import take_over

    routes, middleware = list(stock.router.routes), list(stock.user_middleware)
    try:
        take_over(app)
        client = TestClient(stock, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
        assert client.get("/info/").json()["name"] == "breastlabel"
        assert client.post("/reload").status_code in (404, 405)
        assert (
            TestClient(stock, base_url="http://127.0.0.1", client=("10.0.0.1", 1)).get("/info/").status_code
            == 403
        )
    finally:
        stock.router.routes[:] = routes
        stock.user_middleware[:] = middleware
        stock.middleware_stack = None


def test_logs_are_shown_as_text(client: TestClient, app: BreastLabelApp) -> None:
    assert client.get("/logs/").status_code == 404
    folder = Path(app.app_dir) / "logs"
    folder.mkdir()
    (folder / "app.log").write_text("one\ntwo\nthree\n")
    assert client.get("/logs/?lines=2").text == "two\nthree\n"


def test_params_are_json_objects(client: TestClient) -> None:
    for params, status in (("", 200), ("null", 200), ("{}", 200), ("[]", 400), ("x", 400)):
        answer = client.post("/infer/ultrasound?image=a", data={"params": params})
        assert answer.status_code == status, params
    answer = client.post("/infer/ultrasound?image=a", data={"params": json.dumps({"label": "/etc/passwd"})})
    assert answer.status_code == 200


def test_a_training_that_ended_early_is_resumed_by_its_id(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.post("/train/ultrasound", json={"resume": "20261120-101500-000000-abcd"})
    assert answer.status_code == 404
    assert "is none" in answer.json()["detail"]
    resumed: list[tuple[str, bool]] = []

    def resume(task_id: str, *, enqueue: bool) -> dict[str, str]:
        resumed.append((task_id, enqueue))
        return {"id": task_id, "status": "RUNNING"}

    monkeypatch.setattr(app.jobs, "resume", resume)
    answer = client.post("/train/ultrasound?enqueue=true", json={"resume": ["an-id"]})
    assert answer.json() == {"id": "an-id", "status": "RUNNING"}
    assert resumed == [("an-id", True)]
    assert client.post("/train/x-rays", json={"resume": "an-id"}).status_code == 404
