from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from breastlabel.label.app import BreastLabelApp

from .conftest import MG, propose


def cases(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/cases", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["cases"])


def images(case: dict[str, Any]) -> list[str]:
    return [image["image_id"] for image in case["images"]]


def test_the_worklist_lists_exams_with_what_a_page_shows(client: TestClient) -> None:
    answer = client.get("/api/cases").json()
    assert (answer["total"], answer["strategy"], answer["strategies"][0]) == (5, "random", "random")
    newest = next(case for case in answer["cases"] if f"{MG}-rcc" in images(case))
    assert images(newest) == [f"{MG}-{view}" for view in ("rcc", "rmlo", "lcc", "lmlo")]
    assert (newest["modality"], newest["status"], newest["leased_to"]) == ("MG", "waiting", None)
    assert newest["has_prior"] is True
    (prior,) = newest["priors"]
    assert prior["acquired"] < newest["acquired"]
    assert {i["image_id"] for i in prior["images"]} == {
        f"{MG}-prior-{v}" for v in ("rcc", "rmlo", "lcc", "lmlo")
    }
    assert newest["score"] == {"value": None, "strategy": "random", "reason": "drawn by chance"}
    first = newest["images"][0]
    assert (first["laterality"], first["view_position"], first["status"]) == ("R", "CC", "waiting")
    assert (first["rows"], first["columns"], first["label"]) == (128, 96, None)
    assert first["thumbnail"] == f"/api/images/{MG}-rcc/thumbnail.png"
    studies = {image["study_instance_uid"] for image in newest["images"]}
    prior_studies = {image["study_instance_uid"] for image in prior["images"]}
    assert len(studies) == len(prior_studies) == 1
    assert newest["ohif"].startswith("/ohif/")
    assert newest["ohif"].endswith(f"StudyInstanceUIDs={studies.pop()},{prior_studies.pop()}")


def test_a_list_is_filtered_and_paged(client: TestClient) -> None:
    assert {case["modality"] for case in cases(client, modality="US")} == {"US"}
    assert len(cases(client, modality="MG")) == 3
    every = [case["case_id"] for case in cases(client, strategy="first")]
    paged = [cases(client, strategy="first", limit=2, offset=at) for at in (0, 2, 4, 6)]
    assert [case["case_id"] for page in paged for case in page] == every
    for query in ({"modality": "CT"}, {"status": "lost"}, {"limit": 0}, {"offset": -1}, {"limit": 10**9}):
        assert client.get("/api/cases", params=query).status_code == 422
    answer = client.get("/api/cases", params={"strategy": "best"})
    assert answer.status_code == 404
    assert "strategy must be one of" in answer.json()["detail"]


def test_scores_order_the_cases_and_say_why(client: TestClient, app: BreastLabelApp) -> None:
    serving = str(app.predictors.version("mammography"))
    app.catalog.scores.write(
        "bald", "mammography", serving, {f"{MG}-lcc": 0.41, "phantom-mg-8-0001-rcc": 0.2}
    )
    app.catalog.scores.write("bald", "ultrasound", "older", {"phantom-7-0001-a": 0.3})
    listed = cases(client, strategy="bald")
    assert f"{MG}-lcc" in images(listed[0])
    assert listed[0]["score"] == {
        "value": 0.41,
        "strategy": "bald",
        "reason": "the model's repeated answers differ in the class (BALD 0.41)",
    }
    assert images(listed[1]) == ["phantom-7-0001-a"]
    assert listed[1]["score"]["reason"].endswith("(BALD 0.30), says an older model")
    assert "phantom-mg-8-0001-rcc" in images(listed[2])
    assert listed[-1]["score"]["reason"] == "not scored yet"


def test_a_case_is_found_by_study_instance_image_and_id(client: TestClient) -> None:
    case = next(case for case in cases(client) if f"{MG}-rcc" in images(case))
    first = case["images"][0]
    asked = [
        {"study_instance_uid": first["study_instance_uid"]},
        {"sop_instance_uid": first["sop_instance_uid"]},
        {"image_id": first["image_id"]},
    ]
    for query in asked:
        found = client.get("/api/cases/find", params=query)
        assert found.json()["case_id"] == case["case_id"], query
    one = client.get(f"/api/cases/{case['case_id']}").json()
    assert one["case_id"] == case["case_id"]
    assert one["breasts"] == []
    assert [image["result"] for image in one["images"]] == [None] * 4
    for query in ({"study_instance_uid": "1.2.3"}, {"sop_instance_uid": "1.2.3"}, {"image_id": "../x"}):
        assert client.get("/api/cases/find", params=query).status_code == 404
    assert client.get("/api/cases/find").status_code == 400
    assert client.get("/api/cases/AAAAAAAAAAA").status_code == 404


def test_results_are_those_of_the_newest_proposal(
    client: TestClient, app: BreastLabelApp, tmp_path: Path
) -> None:
    serving = str(app.predictors.version("mammography"))
    breast = {"laterality": "R", "malignancy_probability": 0.2, "uncertainty": None}
    propose(app.catalog, f"{MG}-rcc", tmp_path, version="old", breast=breast)
    propose(
        app.catalog, f"{MG}-rmlo", tmp_path, version=serving, breast={**breast, "malignancy_probability": 0.7}
    )
    case = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc"}).json()
    rcc, rmlo = case["images"][:2]
    assert rcc["result"]["findings"] == [{"class": "malignant"}]
    assert (rcc["result"]["of_older_model"], rmlo["result"]["of_older_model"]) == (True, False)
    assert rmlo["result"]["model"] == "mammography"
    assert case["breasts"] == [
        {
            "laterality": "R",
            "malignancy_probability": 0.7,
            "uncertainty": None,
            "model": "mammography",
            "checkpoint_version": serving,
            "images": [f"{MG}-rcc", f"{MG}-rmlo"],
        }
    ]


def test_two_clients_are_given_different_cases(client: TestClient, app: BreastLabelApp) -> None:
    given = [
        client.post("/api/cases/next", json={"client_id": name, "modality": "MG"}).json()
        for name in ("anna", "ben", "cleo")
    ]
    assert len({case["case_id"] for case in given}) == 3
    assert [case["leased_to"] for case in given] == ["anna", "ben", "cleo"]
    assert {case["status"] for case in given} == {"reading"}
    assert len(app.catalog.leases.live()) == 12, "all images of each exam"
    refused = client.post("/api/cases/next", json={"client_id": "dora", "modality": "MG"})
    assert refused.status_code == 404
    assert "no case waits" in refused.json()["detail"]
    assert len(cases(client, status="reading")) == 3
    again = client.post("/api/cases/next", json={"client_id": "anna", "modality": "MG"}).json()
    assert again["case_id"] == given[0]["case_id"], "her own comes again where nothing else is free"


def test_what_a_client_skips_is_free_for_others(client: TestClient) -> None:
    mine = client.post("/api/cases/next", json={"client_id": "anna", "strategy": "first"}).json()
    other = client.post(
        "/api/cases/next", json={"client_id": "anna", "strategy": "first", "skip": [mine["case_id"]]}
    ).json()
    assert other["case_id"] != mine["case_id"]
    bens = client.post("/api/cases/next", json={"client_id": "ben", "strategy": "first"}).json()
    assert bens["case_id"] == mine["case_id"]


def test_a_request_that_does_not_fit_is_refused(client: TestClient) -> None:
    bodies: list[dict[str, Any]] = [
        {"skip": "x"},
        {"skip": ["x"] * 1001},
        {"modality": "CT"},
        {"strategy": "best"},
        {"skip": [{"a": 1}] * 2000},
    ]
    for body in bodies:
        answer = client.post("/api/cases/next", json={"client_id": "anna", **body})
        assert answer.status_code in (400, 404), body
        assert answer.json()["detail"]


def test_a_case_is_read_when_all_its_images_have_a_label(client: TestClient, app: BreastLabelApp) -> None:
    for view in ("rcc", "rmlo", "lcc", "lmlo"):
        case = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc"}).json()
        assert case["status"] == "waiting"
        app.catalog.labels.save(f"{MG}-{view}", b"x", label="normal")
    case = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc"}).json()
    assert (case["status"], case["score"]) == ("read", None)
    assert case["images"][0]["label"] == {"version": 1, "tag": "final", "state": "final", "label": "normal"}
    assert [c["case_id"] for c in cases(client, status="read")] == [case["case_id"]]


def test_settings_and_training_answer_before_anything_happened(client: TestClient) -> None:
    settings = client.get("/api/settings").json()
    assert settings["blinded_first_reading"] is False
    assert (settings["login"], settings["user"]) == (False, None)
    assert "4A" in settings["birads"]
    assert "mass" in settings["lesion_types"]
    training = client.get("/api/training").json()
    assert (training["running"], training["model"], training["progress"]) == (False, None, None)


def test_a_training_is_told_as_it_runs(
    client: TestClient, app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {
        "request": {"model": "ultrasound"},
        "status": "RUNNING",
        "progress": 0.25,
        "epoch": 5,
        "total_epochs": 20,
        "message": "epoch 5 of 20",
        "version": None,
        "promoted": None,
    }
    monkeypatch.setattr(app.jobs, "running", lambda: task)
    training = client.get("/api/training").json()
    assert (training["running"], training["model"], training["progress"]) == (True, "ultrasound", 0.25)
    assert (training["epoch"], training["message"]) == (5, "epoch 5 of 20")
