from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from tests.apps import built_app, local_client

from breastlabel.errors import StudiesError
from breastlabel.label.app import BreastLabelApp
from breastlabel.web.arrivals import Arrivals
from breastlabel.web.routes import health

SECRET = "meier-4711"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreastLabelApp]:
    """Over two images, one of which is named after a patient."""
    folder = tmp_path_factory.mktemp("monitored")
    (folder / "studies").mkdir()
    rng = np.random.default_rng(3)
    for name in (SECRET, "b"):
        Image.fromarray(rng.integers(0, 255, (48, 64), np.uint8)).save(folder / "studies" / f"{name}.png")
    with built_app(folder / "studies", folder / "app") as built:
        yield built


@pytest.fixture
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    with local_client(app) as local:
        yield local


def figures(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels -> value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_their_routes_template(client: TestClient) -> None:
    client.get(f"/api/images/{SECRET}/thumbnail.png")
    client.get("/api/images/b/thumbnail.png")
    client.get("/api/images/none/thumbnail.png")
    client.get(f"/no/such/{SECRET}")
    client.request("BREW", "/health")
    told = figures(client)

    def requests(route: str, status: str, method: str = "GET") -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return told["breastlabel_requests_total", labels]

    assert requests("/api/images/{image_id}/thumbnail.png", "200") == 2
    assert requests("/api/images/{image_id}/thumbnail.png", "404") == 1
    assert requests("unknown", "404") == 1
    timed = (("method", "GET"), ("route", "/api/images/{image_id}/thumbnail.png"))
    assert told["breastlabel_request_seconds_count", timed] == 3
    assert not any("BREW" in str(labels) for _, labels in told)


def test_nothing_tells_an_image_a_path_or_a_reader(client: TestClient, app: BreastLabelApp) -> None:
    client.post(f"/api/images/{SECRET}/run", json={"client_id": SECRET})
    client.get("/api/cases/find", params={"image_id": SECRET, "client_id": SECRET})
    for path in ("/metrics", "/health"):
        text = client.get(path).text
        assert SECRET not in text
        assert str(app.studies) not in text


def test_inferences_are_timed_by_model_and_images_counted_by_status(client: TestClient) -> None:
    before = figures(client).get(("breastlabel_inference_seconds_count", (("model", "ultrasound"),)), 0.0)
    assert client.post("/infer/ultrasound?image=b&output=json").status_code == 200
    told = figures(client)
    assert told["breastlabel_inference_seconds_count", (("model", "ultrasound"),)] == before + 1
    assert told["breastlabel_inferences_present", ()] == 0
    assert told["breastlabel_images", (("status", "total"),)] == 2
    assert told["breastlabel_images", (("status", "waiting"),)] == 2
    assert told["breastlabel_labelled_images", (("tag", "original"),)] >= 1
    assert told["breastlabel_jobs_running", (("kind", "training"),)] == 0
    assert told["breastlabel_catalog_up", ()] == 1
    assert told["process_resident_memory_bytes", ()] > 1e7
    assert any(name == "breastlabel_model" for name, _ in told)


def test_arrivals_are_counted(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = Arrivals(app)
    arrivals.read, arrivals.failed, arrivals.waiting = 3, 1, 7
    monkeypatch.setattr(app, "arrivals", arrivals)
    told = figures(client)
    assert told["breastlabel_arrivals_total", (("outcome", "read"),)] == 3
    assert told["breastlabel_arrivals_total", (("outcome", "failed"),)] == 1
    assert told["breastlabel_arrivals_waiting", ()] == 7


def test_health_is_quick_and_says_what_serves(client: TestClient, app: BreastLabelApp) -> None:
    client.get("/health")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        answer = client.get("/health")
        times.append(time.perf_counter() - began)
    said = answer.json()
    assert answer.status_code == 200
    assert (said["status"], said["catalog"], said["archive"]) == (
        "ok",
        "ok",
        {"kind": "folder", "state": "ok"},
    )
    assert said["models"]["ultrasound"] == app.predictors.version("ultrasound")
    assert said["disk_free"] > 0
    assert min(times) < 0.05


def test_a_catalog_that_does_not_answer_is_said(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise StudiesError(f"the database says: no such file {SECRET}")

    monkeypatch.setattr(app.catalog, "counts", broken)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["catalog"]) == ("failing", "failing")
    assert SECRET not in answer.text
    assert figures(client)["breastlabel_catalog_up", ()] == 0


def test_a_full_disk_and_a_dead_worker_are_said(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(health, "LEAST_DISK", 2**80)
        assert client.get("/health").status_code == 503
    arrivals = Arrivals(app, first=3600.0)
    monkeypatch.setattr(app, "arrivals", arrivals)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["workers"] == {"arrivals": False}
    arrivals.start()
    try:
        assert client.get("/health").json()["workers"] == {"arrivals": True}
    finally:
        arrivals.close()
    assert "arrivals" not in {thread.name for thread in threading.enumerate()}
