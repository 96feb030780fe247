"""Scoring through the server, with a worker that is never started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from breastlabel.activelearning.method_scores import METHODS
from breastlabel.imaging import Modality
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.auto_scoring import AutoScoring
from breastlabel.label.errors import BadRequestError, RunningError
from breastlabel.label.scoring import scoring_job


class FakeJobs:
    """Keeps what it is asked to do; ``busy`` refuses a second one."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.busy = False

    def start(self, request: Any, *, enqueue: bool = False) -> dict[str, Any]:
        if self.busy and not enqueue:
            raise RunningError("one scoring at a time")
        self.asked.append(dict(request))
        return self.task()

    def resume(self, task_id: str, *, enqueue: bool = False) -> dict[str, Any]:
        return {**self.task(), "id": task_id}

    def task(self) -> dict[str, Any]:
        return {"id": "job-1", "status": "RUNNING", "progress": 0.5, "request": {"model": "ultrasound"}}

    def running(self) -> dict[str, Any] | None:
        return self.task() if self.busy else None

    def latest(self) -> dict[str, Any] | None:
        return self.task() if self.asked else None

    def tasks(self) -> list[dict[str, Any]]:
        return [self.task() for _ in self.asked]

    def log(self, task_id: str) -> list[str]:
        return [task_id]

    def wait(self, task_id: str) -> dict[str, Any]:
        return {**self.task(), "status": "DONE"}

    def stop(self) -> dict[str, Any] | None:
        return {**self.task(), "status": "STOPPED"} if self.busy else None


@pytest.fixture
def jobs(app: BreastLabelApp) -> FakeJobs:
    app.scoring_jobs = FakeJobs()
    return app.scoring_jobs


def test_info_lists_every_method_as_monai_label_does(client: TestClient) -> None:
    offered = client.get("/info/").json()["scoring"]
    assert list(offered) == list(METHODS)
    assert all(method["description"] for method in offered.values())
    strategies = client.get("/info/").json()["strategies"]
    assert set(offered) <= set(strategies), "each has a strategy that goes by its scores"


def test_all_methods_are_one_job_and_one_method_is_another(client: TestClient, jobs: FakeJobs) -> None:
    answer = client.post("/scoring/", json={"passes": "20", "device": ["cpu"]})
    assert answer.status_code == 200
    assert answer.json()["id"] == "job-1"
    assert client.post("/scoring/bald", json={"limit": 5}).status_code == 200
    whole, one = jobs.asked
    assert "methods" not in whole
    assert (whole["model"], whole["passes"], whole["device"]) == ("ultrasound", 20, "cpu")
    assert (one["methods"], one["limit"], one["passes"]) == (["bald"], 5, 10)


def test_who_asked_is_noted(client: TestClient, app: BreastLabelApp, jobs: FakeJobs) -> None:
    client.post("/scoring/bald", json={"client_id": "slicer-7"})
    entry = next(entry for entry in app.catalog.audit.entries() if entry.action == "score.request")
    assert entry.client_id == "slicer-7"
    assert entry.details == {"model": "ultrasound", "methods": ["bald"], "job": "job-1"}


def test_progress_is_told_as_a_task(client: TestClient, jobs: FakeJobs) -> None:
    assert client.get("/scoring/").status_code == 404
    assert client.get("/scoring/", params={"check_if_running": True}).status_code == 404
    client.post("/scoring/")
    jobs.busy = True
    assert client.get("/scoring/").json()["progress"] == 0.5
    assert client.get("/scoring/", params={"check_if_running": True}).json()["status"] == "RUNNING"
    assert len(client.get("/scoring/", params={"all": True}).json()) == 1


def test_there_are_never_two(client: TestClient, jobs: FakeJobs) -> None:
    jobs.busy = True
    assert client.post("/scoring/").status_code == 429
    assert client.post("/scoring/", params={"enqueue": True}).status_code == 200
    assert client.delete("/scoring/").json()["status"] == "STOPPED"


def test_one_that_ended_early_goes_on(client: TestClient, jobs: FakeJobs) -> None:
    answer = client.post("/scoring/", json={"resume": "job-0"})
    assert answer.json()["id"] == "job-0"
    assert jobs.asked == []


def test_it_can_be_waited_for(client: TestClient, jobs: FakeJobs) -> None:
    assert client.post("/scoring/entropy", params={"run_sync": True}).json()["status"] == "DONE"


def test_unknown_names_and_wrong_options_are_refused(client: TestClient, jobs: FakeJobs) -> None:
    unknown = client.post("/scoring/luck")
    assert unknown.status_code == 404
    assert "scoring method must be one of" in unknown.json()["detail"]
    assert client.post("/scoring/bald", json={"model": "ct"}).status_code == 400
    assert client.post("/scoring/bald", json={"passes": "many"}).status_code == 400
    assert jobs.asked == []


def test_a_job_holds_what_the_worker_reads() -> None:
    job = scoring_job({"batch": 7}, models=["ultrasound"], studies=Path("/data"), methods=None)
    assert json.loads(json.dumps(job)) == {
        "model": "ultrasound",
        "studies": "/data",
        "passes": 10,
        "batch": 7,
    }
    with pytest.raises(BadRequestError, match="passes"):
        scoring_job({"passes": 0}, models=["ultrasound"], studies=Path("/data"))


def test_the_stock_way_starts_a_job_and_waits(app: BreastLabelApp, jobs: FakeJobs) -> None:
    method = app.init_scoring_methods()["bald"]
    assert method({"passes": 3}, app.datastore())["status"] == "DONE"
    assert jobs.asked[0]["methods"] == ["bald"]


def test_a_new_champion_is_scored_once_by_itself(app: BreastLabelApp, jobs: FakeJobs) -> None:
    serving = {"ultrasound": "one"}
    scoring = AutoScoring(
        app.catalog, models=["ultrasound"], version=serving.get, jobs=jobs, job=lambda model: {"model": model}
    )
    jobs.busy = True
    scoring.look()
    assert jobs.asked == [], "another scoring runs"
    jobs.busy = False
    scoring.look()
    scoring.look()
    assert jobs.asked == [{"model": "ultrasound"}]
    app.catalog.scores.write("entropy", "ultrasound", "two", {"a": 1.0})
    serving["ultrasound"] = "two"
    scoring.look()
    assert len(jobs.asked) == 1, "it has scored"
    serving["ultrasound"] = "three"
    scoring.look()
    assert len(jobs.asked) == 2


def test_a_version_is_tried_again_where_another_server_was_faster(
    app: BreastLabelApp, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring = AutoScoring(
        app.catalog, models=["ultrasound"], version=lambda model: "one", jobs=jobs, job=lambda model: {}
    )
    jobs.busy = True
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "running", lambda: None)
        scoring.look()
    assert jobs.asked == []
    jobs.busy = False
    scoring.look()
    assert len(jobs.asked) == 1


def test_scoring_by_itself_is_off_unless_it_is_switched_on(app: BreastLabelApp) -> None:
    assert app._auto_score is False


def test_the_thread_looks_and_ends(app: BreastLabelApp, jobs: FakeJobs) -> None:
    scoring = AutoScoring(
        app.catalog,
        models=["ultrasound"],
        version=lambda model: "one",
        jobs=jobs,
        job=lambda model: {"model": model},
        every=0.01,
    )
    scoring.start()
    for _ in range(1000):
        if jobs.asked:
            break
        scoring._over.wait(0.01)
    scoring.close()
    assert jobs.asked == [{"model": "ultrasound"}]


def test_without_a_name_the_first_model_that_fits_an_image_scores(
    client: TestClient, app: BreastLabelApp, jobs: FakeJobs
) -> None:
    for image in "abc":
        app.catalog.update_image(image, modality=Modality.MG)
    client.post("/scoring/")
    client.post("/scoring/", json={"model": "ultrasound"})
    assert [job["model"] for job in jobs.asked] == ["mammography", "ultrasound"]
