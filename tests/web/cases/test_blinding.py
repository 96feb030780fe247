from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.apps import local_client

from breastlabel.catalog.first_readings import REVEAL
from breastlabel.label.app import BreastLabelApp

from .conftest import MG, US, propose

BREAST = {"laterality": "R", "malignancy_probability": 0.7, "uncertainty": None}


@pytest.fixture
def blind(build: Callable[..., BreastLabelApp], tmp_path: Path) -> BreastLabelApp:
    """The right breast of a case is judged."""
    app = build(blinded="true")
    for view in ("rcc", "rmlo"):
        propose(app.catalog, f"{MG}-{view}", tmp_path, breast=BREAST)
    return app


def seen(client: TestClient, reader: str | None, **query: Any) -> dict[str, Any]:
    named = {} if reader is None else {"client_id": reader}
    answer = client.get("/api/cases/find", params={"image_id": f"{MG}-rcc", **named, **query})
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
        assert shown(seen(client, "anna", reveal=True)) == [True, True, False, False]
        assert shown(seen(client, "anna")) == [True, True, False, False], "and stays so"
        seen(client, "anna", reveal=True)
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
        seen(client, "anna", reveal=True)
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


def test_the_environment_can_ask_for_it(
    build: Callable[..., BreastLabelApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREASTLABEL_BLINDED", "1")
    with local_client(build()) as client:
        assert client.get("/api/settings").json()["blinded_first_reading"] is True
    with local_client(build(blinded="false")) as client:
        assert client.get("/api/settings").json()["blinded_first_reading"] is False
