from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.apps import local_client

from breastlabel.catalog.first_readings import REVEAL
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.blinding import Blinding
from breastlabel.label.caller import CLIENT_COOKIE, Caller

from .conftest import MG, US, propose

DICOM = {"accept": "application/dicom+json"}
SAID = {
    "malignancy_probability": 0.7,
    "class_probabilities": {"normal": 0.1, "benign": 0.2, "malignant": 0.7},
}
BREAST = {"laterality": "R", **SAID, "predicted_class": "malignant", "uncertainty": None}


@pytest.fixture
def blind(build: Callable[..., BreastLabelApp], tmp_path: Path) -> BreastLabelApp:
    """The right breast of a case is judged."""
    app = build(blinded="true")
    for view in ("rcc", "rmlo"):
        propose(app.catalog, f"{MG}-{view}", tmp_path, breast=BREAST, findings=[], **SAID)
    return app


def seen(client: TestClient, reader: str | None) -> dict[str, Any]:
    named = {} if reader is None else {"client_id": reader}
    answer = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc", **named})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def reveal(client: TestClient, reader: str) -> dict[str, Any]:
    answer = client.post(f"/api/cases/{seen(client, reader)['case_id']}/reveal", json={"client_id": reader})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def shown(case: dict[str, Any]) -> list[bool]:
    return [image["result"] is not None for image in case["images"]]


def test_the_ais_opinion_comes_after_the_readers_own(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        assert client.get("/api/settings").json()["blinded_first_reading"] is True
        assert shown(seen(client, "anna")) == [False] * 4
        assert seen(client, "anna")["breasts"] == []
        assert [i["withheld"] for i in seen(client, "anna")["images"]] == [True] * 4
        blind.catalog.labels.save(f"{MG}-rcc", b"x", client_id="anna")
        assert shown(seen(client, "anna")) == [True, False, False, False]
        assert seen(client, "anna")["breasts"] == [], "the other view is not read yet"
        blind.catalog.labels.save(f"{MG}-rmlo", b"x", client_id="anna")
        assert shown(seen(client, "anna")) == [True, True, False, False]
        assert [b["laterality"] for b in seen(client, "anna")["breasts"]] == ["R"]
        assert shown(seen(client, "ben")) == [False] * 4, "another reader's reading is not his"
        assert shown(seen(client, None)) == [False] * 4


def test_a_draft_is_no_reading(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        blind.catalog.labels.save(f"{MG}-rcc", b"x", tag="draft", client_id="anna")
        assert shown(seen(client, "anna")) == [False] * 4


def test_revealing_is_noted_once(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        assert shown(reveal(client, "anna")) == [True, True, False, False]
        assert shown(seen(client, "anna")) == [True, True, False, False], "and stays so"
        reveal(client, "anna")
        assert shown(seen(client, "ben")) == [False] * 4
    acts = [entry for entry in blind.catalog.audit.entries(f"{MG}-rcc") if entry.action == REVEAL]
    assert [act.client_id for act in acts] == ["anna"]


def test_pictures_downloads_and_accepting_are_withheld_too(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        image = f"/api/images/{MG}-rcc"
        for path in ("overlay.png", "overlay.png?layer=heatmap", "segmentation.dcm", "report.dcm"):
            answer = client.get(f"{image}/{path}", params={"client_id": "anna"} if "?" not in path else None)
            assert answer.status_code == 409, path
            assert "reading of one's own" in answer.json()["detail"]
        assert client.post(f"{image}/accept", json={"client_id": "anna"}).status_code == 409
        assert client.get(f"{image}/thumbnail.png").status_code == 200
        reveal(client, "anna")
        assert client.get(f"{image}/overlay.png?client_id=anna").status_code == 200
        assert client.post(f"{image}/accept", json={"client_id": "anna"}).status_code == 200


def test_running_the_ai_shows_and_stores_nothing_before_the_reading(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        answer = client.post(f"/api/images/{US}/run", json={"client_id": "anna"})
        assert answer.json() == {"result": None, "segmentation": None, "withheld": True}
        assert blind.catalog.labels.current(US, "original") is not None
        assert blind.catalog.dicom.find(modality="SEG") == []
        blind.catalog.labels.save(US, b"x", client_id="anna")
        case = client.get("/api/cases/find", params={"image_id": US, "client_id": "anna"}).json()
        assert case["images"][0]["segmentation"] is not None
        assert len(blind.catalog.dicom.find(modality="SEG")) == 1


def test_the_archive_leaves_out_what_is_withheld(blind: BreastLabelApp) -> None:
    index = blind.catalog.dicom
    study = index.of_image(f"{MG}-rcc").study_instance_uid  # type: ignore[union-attr]
    with local_client(blind) as client:

        def got(path: str, reader: str | None = None) -> Any:
            # OHIF asks by itself, and says who asks by the browser's cookie alone.
            cookie = {} if reader is None else {"Cookie": f"{CLIENT_COOKIE}={reader}"}
            return client.get(f"/dicom-web/{path}", headers={**DICOM, **cookie})

        def modalities(path: str, reader: str | None = None) -> list[str]:
            return sorted(one["00080060"]["Value"][0] for one in got(path, reader).json())

        for view in ("rcc", "rmlo"):
            blind.catalog.labels.save(f"{MG}-{view}", b"x", client_id="anna")
        blind.catalog.labels.save(f"{MG}-rcc", b"x", client_id="ben")
        seen(client, "anna")
        ours = [one for one in index.find(study=study) if one.origin == "ours"]
        assert sorted(one.modality for one in ours) == ["SEG", "SEG", "SR"]
        own = blind.archive.dataset(next(o.sop_instance_uid for o in ours if o.modality == "SEG"))
        own.SOPInstanceUID = own.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
        own.SeriesInstanceUID = "2.25.2"
        blind.archive.store(own, origin="stow")

        here = f"studies/{study}"
        plain = modalities(f"{here}/series", "carl")
        assert plain == modalities(f"{here}/series")
        assert plain.count("SEG") == 1, "a reader's own stays"
        for path in (f"{here}/series", f"series?StudyInstanceUID={study}"):
            assert modalities(path, "anna") == sorted([*plain, "SEG", "SEG", "SR"])
            assert modalities(path, "ben") == sorted([*plain, "SEG"]), "the report is about both views"
        assert modalities("instances?Modality=SR", "anna") == [], "nothing of ours in the whole archive"
        listed = {modality for one in got("studies").json() for modality in one["00080061"]["Value"]}
        assert {"MG", "SEG"} <= listed <= {"MG", "SEG", "US"}
        assert len(got(f"{here}/metadata", "anna").json()) == len(got(f"{here}/metadata").json()) + 3
        for one in ours:
            place = f"{here}/series/{one.series_instance_uid}"
            for path in (place, f"{place}/metadata", f"{place}/instances/{one.sop_instance_uid}"):
                assert got(path).status_code == got(path, "carl").status_code == 404
            assert got(f"{place}/metadata", "anna").status_code == 200


def test_inference_is_withheld_too(blind: BreastLabelApp) -> None:
    with local_client(blind) as client:
        anna = {"params": '{"client_id": "anna"}'}
        for model, image in (("ultrasound", US), ("explain", US), ("mammography", f"{MG}-rcc")):
            refused = client.post(f"/infer/{model}", params={"image": image}, data=anna)
            assert refused.status_code == 409
            assert "reading of one's own" in refused.json()["detail"]
        assert blind.catalog.labels.current(US, "original") is None, "no model was asked"
        blind.catalog.labels.save(US, b"x", client_id="anna")
        asked = {"image": US, "output": "json"}
        assert client.post("/infer/ultrasound", params=asked, data=anna).status_code == 200
        assert client.post("/infer/ultrasound", params=asked).status_code == 409
        batch = client.post("/batch/infer/ultrasound", json={"label_tag": "first"})
        assert batch.status_code == 400
        assert "label_tag" in batch.json()["detail"]


def test_proposals_are_withheld_among_the_labels_too(blind: BreastLabelApp) -> None:
    image = f"{MG}-rcc"
    with local_client(blind) as client:

        def got(path: str, **query: Any) -> Any:
            return client.get(f"/datastore/{path}", params={"client_id": "anna", **query})

        asked: tuple[tuple[str, dict[str, Any]], ...] = (
            ("label", {"label": image, "tag": "original"}),
            ("label", {"label": image, "version": 1}),
            ("label/info", {"label": image, "tag": "original"}),
        )
        assert [got(path, **query).status_code for path, query in asked] == [409] * 3
        judged: dict[str, Any] = {"image": image, "version": 1}
        assert client.put("/datastore/label/restore", params=judged).status_code == 409
        assert client.put("/datastore/label/state", params={**judged, "state": "rejected"}).status_code == 409
        assert got("label/history", image=image).json()["versions"] == []
        assert got("", output="all").json()["objects"][image]["labels"] == {}
        blind.catalog.labels.save(image, b"x", client_id="anna")
        assert [got(path, **query).status_code for path, query in asked] == [200] * 3
        assert [v["tag"] for v in got("label/history", image=image).json()["versions"]] == [
            "original",
            "final",
        ]
        assert set(got("", output="all").json()["objects"][image]["labels"]) == {"original", "final"}
        assert got("label", label=image, tag="original", client_id="ben").status_code == 409


def test_who_says_nothing_of_themselves_is_shown_nothing(blind: BreastLabelApp) -> None:
    image = f"{MG}-rcc"
    with local_client(blind) as client:
        # As a label is saved by a client without an id, or with the one that every Slicer has at first.
        blind.catalog.labels.save(image, b"x", client_id="unknown-127.0.0.1")
        for reader in (None, "user-xyz"):
            assert shown(seen(client, reader)) == [False] * 4
        assert client.post(f"/api/images/{image}/accept", json={}).status_code == 409
        refused = client.post(f"/api/cases/{seen(client, None)['case_id']}/reveal")
        assert refused.status_code == 400
        assert "client_id is required" in refused.json()["detail"]
        assert client.post("/api/cases/none/reveal", json={"client_id": "anna"}).status_code == 404


def test_at_a_login_only_the_users_own_reading_counts(
    blind: BreastLabelApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"{MG}-rcc"
    blind.catalog.labels.save(image, b"x", client_id="room-1", author="anna")
    monkeypatch.setattr("breastlabel.label.blinding.caller", lambda: Caller(user="ben"))
    assert Blinding(blind).withheld([image], "room-1") == {image}, "another reader at the same machine"
    monkeypatch.setattr("breastlabel.label.blinding.caller", lambda: Caller(user="anna"))
    assert Blinding(blind).withheld([image], "room-2") == set()


def test_the_environment_can_ask_for_it(
    build: Callable[..., BreastLabelApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREASTLABEL_BLINDED", "1")
    with local_client(build()) as client:
        assert client.get("/api/settings").json()["blinded_first_reading"] is True
    with local_client(build(blinded="false")) as client:
        assert client.get("/api/settings").json()["blinded_first_reading"] is False
