"""``/api/segmentations`` and ``/api/questions``, as the panel in OHIF and the worklist use them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.findings.seg_writer import as_ohif, painted, seg, to_bytes

SHAPE = (12, 16)


def blob(value=2):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 3:8] = value
    return mask


@pytest.fixture
def post(client):
    """Sends a dataset, or bytes."""

    def send(dataset, **query):
        data = dataset if isinstance(dataset, bytes) else to_bytes(dataset)
        return client.post(
            "/api/segmentations", params=query, content=data, headers={"Content-Type": "application/dicom"}
        )

    return send


def test_a_correction_is_saved_with_what_the_reader_said(app, client, post, source, mask_of):
    stored = as_ohif(source("right"), blob(1), ["Segment 1"])
    answer = post(
        stored,
        client_id="panel-7",
        author="ann",
        birads="4a",
        lesion_type="mass",
        seconds_spent="31.5",
        segments=json.dumps({"Segment 1": "malignant"}),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "status": "saved",
        "labels": [{"image_id": "right", "version": 1}],
        "reason": None,
    }
    np.testing.assert_array_equal(mask_of("right"), blob())
    (entry,) = client.get("/datastore/label/history?image=right").json()["versions"]
    assert (entry["author"], entry["client_id"], entry["seconds_spent"]) == ("ann", "panel-7", 31.5)
    info = app.catalog.labels.current("right").info
    assert (info["birads"], info["lesion_type"], info["source"]) == ("4A", "mass", "dicom-seg")
    assert app.catalog.dicom.instance(stored.SOPInstanceUID) is not None, "viewers can load it again"
    again = post(stored)
    assert (again.status_code, again.json()["status"]) == (200, "known")
    assert len(app.catalog.labels.history("right")) == 1


def test_its_client_needs_no_lease_any_longer(app, client, post, source):
    client.post("/activelearning/first", json={"client_id": "panel"})
    leased = [i for i in ("right", "left", "scan", "plain") if app.catalog.audit.entries(i)]
    (image_id,) = leased
    answer = post(seg("BINARY", painted(blob(), source(image_id), "BINARY")), client_id="panel")
    assert answer.json()["status"] == "saved"
    assert app.catalog.labels.current(image_id).seconds_spent is not None, "since it was leased"


@pytest.mark.parametrize(
    "query",
    [
        {"birads": "7"},
        {"lesion_type": "thing"},
        {"seconds_spent": "-1"},
        {"seconds_spent": "soon"},
        {"complete": "maybe"},
        {"segments": "[]"},
        {"segments": "{"},
        {"segments": '{"Segment 1": "perhaps"}'},
        {"segments": '{"Segment 1": 3}'},
    ],
)
def test_what_a_request_may_not_say_is_refused(app, post, source, query):
    answer = post(as_ohif(source("right"), blob(1), ["malignant"]), **query)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]
    assert app.catalog.labels.history("right") == []


def test_what_is_no_segmentation_of_ours_is_refused(app, post, source):
    whole = to_bytes(as_ohif(source("right"), blob(1), ["malignant"]))
    cases = {
        "nothing": b"",
        "text": b"hello",
        "cut off": whole[: len(whole) // 2],
        "an image": to_bytes(source("right")),
        "another study": seg("BINARY", painted(blob(), source("right"), "BINARY"), StudyInstanceUID="1.2.3"),
    }
    for name, data in cases.items():
        answer = post(data)
        assert answer.status_code == 422, name
        assert answer.json()["detail"], name
        if data:
            assert answer.json()["status"] == "refused", name
            assert "4711" not in answer.text
    assert app.catalog.labels.history("right") == []
    assert app.catalog.dicom.find(modality="SEG") == [], "nothing of it is kept"


def test_a_large_one_may_be_sent_and_a_too_large_one_not(client):
    headers = {"Content-Type": "application/dicom"}
    assert client.post("/api/segmentations", content=bytes(9 * 2**20), headers=headers).status_code == 422
    announced = {**headers, "Content-Length": str(2**30)}
    assert client.post("/api/segmentations", content=b"x", headers=announced).status_code == 413


def test_a_question_is_listed_and_answered(app, client, post, source, mask_of):
    asked = post(as_ohif(source("right"), blob(1), ["Segment 1"]), author="ann").json()
    assert asked["status"] == "question"
    listed = client.get("/api/questions").json()
    assert listed["total"] == 1
    (question,) = listed["questions"]
    assert question["question_id"] == asked["question_id"]
    assert (question["viewer"], question["author"]) == ("OHIF Brush", "ann")
    assert question["image_ids"] == ["right"]
    assert question["thumbnails"] == ["/api/images/right/thumbnail.png"]
    assert question["segments"] == [
        {"name": "Segment 1", "type": "as coded", "colour": None, "image_ids": ["right"]}
    ]
    url = f"/api/questions/{asked['question_id']}"
    answer = client.post(
        url, json={"segments": {"Segment 1": "malignant"}, "author": "bob", "remember": True}
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["labels"]) == (
        "saved",
        [{"image_id": "right", "version": 1}],
    )
    np.testing.assert_array_equal(mask_of("right"), blob())
    assert client.get("/api/questions").json() == {"questions": [], "total": 0}
    closed = client.get(url).json()
    assert (closed["status"], closed["answer"]) == ("saved", {"Segment 1": "malignant"})
    assert closed["image_ids"] == ["right"]
    assert client.post(url, json={"segments": {"Segment 1": "benign"}}).status_code == 409
    assert post(as_ohif(source("left"), blob(1), ["Segment 1"])).json()["status"] == "saved"


def test_answers_that_are_none_are_refused(client, post, source):
    names = ["first", "second"]
    asked = post(as_ohif(source("right"), blob(1) | blob(2)[::-1], names)).json()
    url = f"/api/questions/{asked['question_id']}"
    for body, status in (
        ({"segments": {"first": "malignant"}}, 400),
        ({"segments": {"first": "malignant", "second": "yes"}}, 400),
        ({"segments": ["malignant"]}, 400),
        ({}, 400),
        ({"segments": {"first": "benign", "second": "benign"}, "remember": "perhaps"}, 400),
        ([], 422),
    ):
        answer = client.post(url, json=body)
        assert (answer.status_code, bool(answer.json()["detail"])) == (status, True), body
    assert client.get("/api/questions").json()["total"] == 1
    for path in ("/api/questions/99", "/api/questions/0", "/api/questions/999999999999999999999"):
        assert client.get(path).status_code == 404
        assert client.post(path, json={"segments": {"a": "benign"}}).status_code == 404
    assert client.get("/api/questions?limit=0").status_code == 422
    assert client.get("/api/questions?offset=-1").status_code == 422


def test_an_answer_to_a_question_whose_image_is_gone_changes_nothing(app, client, post, source, studies):
    asked = post(as_ohif(source("right"), blob(1), ["Segment 1"])).json()
    (studies / "right.dcm").rename(studies.parent / "away.dcm")
    url = f"/api/questions/{asked['question_id']}"
    answer = client.post(url, json={"segments": {"Segment 1": "malignant"}})
    assert answer.status_code in (400, 404)
    assert app.catalog.questions.count() == 1
