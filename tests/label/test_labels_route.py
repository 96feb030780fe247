from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from breastlabel.imaging import Geometry, read_mask, write_mask
from breastlabel.label.app import BreastLabelApp

NAMED = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]


@pytest.fixture
def save(client: TestClient, tmp_path: Path) -> Any:
    """Saves a label map of one painted row."""

    def save_row(row: int, value: int = 1, *, tag: str = "final", **params: Any) -> dict[str, Any]:
        mask = np.zeros((12, 16), np.uint8)
        mask[row] = value
        write_mask(tmp_path / "row.nii.gz", mask, geometry=Geometry())
        with (tmp_path / "row.nii.gz").open("rb") as file:
            answer = client.put(
                "/datastore/label",
                params={"image": "a", "tag": tag},
                data={"params": json.dumps({"label_info": NAMED, "client_id": "slicer", **params})},
                files={"label": ("row.nii.gz", file)},
            )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    return save_row


def row_of(client: TestClient, folder: Path, **query: Any) -> int:
    answer = client.get("/datastore/label", params={"label": "a", **query})
    assert answer.status_code == 200, answer.text
    assert 'filename="a.nii.gz"' in answer.headers["content-disposition"]
    (folder / "back.nii.gz").write_bytes(answer.content)
    return int(read_mask(folder / "back.nii.gz").any(1).argmax())


def history(client: TestClient) -> list[dict[str, Any]]:
    return list(client.get("/datastore/label/history?image=a").json()["versions"])


def judge(client: TestClient, version: int, state: str) -> Any:
    query = {"image": "a", "version": version, "state": state}
    return client.put("/datastore/label/state", params=query, data={"params": '{"author": "reviewer"}'})


def test_a_saved_label_is_answered_with_its_version(client: TestClient, save: Any, tmp_path: Path) -> None:
    assert save(3) == {"image": "a", "label": "a", "version": 1, "state": "final"}
    assert save(4)["version"] == 2
    assert row_of(client, tmp_path, tag="final") == 4
    assert row_of(client, tmp_path, tag="final", version=1) == 3
    assert client.get("/datastore/label?label=a&tag=final&version=3").status_code == 404
    assert client.get("/datastore/label?label=a&tag=final&version=x").status_code == 422


def test_the_history_tells_who_read_what(client: TestClient, save: Any) -> None:
    save(3, author="reader", seconds_spent=12)
    save(4, 2, tag="draft")
    first, second = history(client)
    assert (first["author"], first["client_id"], first["label"]) == ("reader", "slicer", "benign")
    assert (first["state"], first["seconds_spent"]) == ("final", 12)
    assert (second["tag"], second["state"], second["label"]) == ("draft", "draft", "malignant")
    assert client.get("/datastore/label/history?image=b").json() == {"image": "b", "versions": []}
    assert client.get("/datastore/label/history?image=nobody").status_code == 404


def test_a_draft_counts_once_a_reviewer_accepts_it(client: TestClient, save: Any, tmp_path: Path) -> None:
    assert save(5, tag="draft")["state"] == "draft"
    assert client.get("/datastore/").json()["completed"] == 0
    assert row_of(client, tmp_path, tag="draft") == 5
    assert judge(client, 1, "final").json()["state"] == "final"
    assert client.get("/datastore/").json()["completed"] == 1
    assert row_of(client, tmp_path, tag="final") == 5
    assert client.get("/datastore/label?label=a&tag=draft").status_code == 404


def test_a_rejected_reading_gives_way_to_the_one_before(
    client: TestClient, save: Any, tmp_path: Path
) -> None:
    save(3)
    save(4)
    assert judge(client, 2, "rejected").status_code == 200
    assert row_of(client, tmp_path, tag="final") == 3
    assert judge(client, 1, "rejected").status_code == 200
    assert client.head("/datastore/label?image=a&tag=final").status_code == 404
    assert row_of(client, tmp_path, version=2) == 4, "nothing is ever lost"
    answer = judge(client, 1, "perfect")
    assert (answer.status_code, "draft, final, rejected" in answer.json()["detail"]) == (400, True)
    assert judge(client, 9, "final").status_code == 404


def test_an_earlier_reading_can_be_restored(client: TestClient, save: Any, tmp_path: Path) -> None:
    save(3)
    save(4)
    answer = client.put("/datastore/label/restore", params={"image": "a", "version": 1})
    assert (answer.status_code, answer.json()["version"]) == (200, 3)
    assert row_of(client, tmp_path, tag="final") == 3
    assert [v["state"] for v in history(client)] == ["final"] * 3
    assert client.put("/datastore/label/restore?image=a&version=9").status_code == 404


def test_who_did_what_is_in_the_audit(client: TestClient, app: BreastLabelApp, save: Any) -> None:
    client.post("/activelearning/first", json={"client_id": "slicer"})
    save(3, author="reader")
    judge(client, 1, "rejected")
    client.put("/datastore/label/restore?image=a&version=1", data={"params": '{"author": "engineer"}'})
    entries = app.catalog.audit.entries("a")
    assert [(e.action, e.author) for e in reversed(entries)] == [
        ("lease", None),
        ("label.save", "reader"),
        ("label.state", "reviewer"),
        ("label.restore", "engineer"),
    ]


def test_what_a_reader_changed_is_measured_after_the_answer(
    client: TestClient, app: BreastLabelApp, save: Any
) -> None:
    save(3, tag="original", model="ultrasound", model_version="v7")
    save(3)
    assert app.corrections.wait(30)
    reading = history(client)[-1]
    assert (reading["model"], reading["model_version"]) == ("ultrasound", "v7")
    assert reading["agreement"]["dice"] == 1.0


def test_all_labelled_images_are_listed_where_that_is_asked(client: TestClient, save: Any) -> None:
    save(3)
    for query in ("output=all", "output=all&labelled=all"):
        listed = client.get(f"/datastore/?{query}").json()
        assert list(listed["objects"]) == ["a"]
        assert listed["objects"]["a"]["labels"]["final"]["info"]["version"] == 1
    assert client.get("/datastore/?output=all&labelled=some").status_code == 422


def test_who_may_only_ask_for_proposals_saves_no_reading(client: TestClient) -> None:
    def ask(tag: str) -> Any:
        params = json.dumps({"save_label": True, "label_tag": tag})
        return client.post("/infer/ultrasound", params={"image": "a"}, data={"params": params})

    for tag in ("final", "draft", "second"):
        refused = ask(tag)
        assert refused.status_code == 400
        assert "PUT /datastore/label" in refused.json()["detail"]
    assert history(client) == []
    assert ask("original").status_code == 200
    assert [v["tag"] for v in history(client)] == ["original"]
