"""What the learning page tells is what the catalog, the registry and the jobs know."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from breastlabel.catalog.tables import labels_table
from breastlabel.champions import FOLDER
from breastlabel.label.app import BreastLabelApp
from breastlabel.training.registry import ModelRegistry
from breastlabel.web.pages.learning import Day, Learning, Week, agreement_weeks, label_days, model_history
from breastlabel.web.pages.learning_view import learning_view

from .conftest import US

_OTHER = "phantom-9-0002-a"


def record(app: BreastLabelApp, at: datetime, image_id: str, version: int, label: str, **values: Any) -> None:
    """A reading of another day: the catalog lets nobody change the day later."""
    row = {
        "image_id": image_id,
        "version": version,
        "tag": "final",
        "state": "final",
        "shown_as": "final",
        "label": label,
        "file": f"labels/{image_id}-{version}.nrrd",
        "sha256": "0" * 64,
        "client_id": "web-1",
        "created_at": at,
        "info": {},
    }
    with app.catalog.database.write() as connection:
        connection.execute(insert(labels_table).values(row | values))


@pytest.fixture(scope="module")
def read_by_two(app: BreastLabelApp) -> BreastLabelApp:
    """Three readings on two days of one week, and one a week later; two of them began from proposals."""
    days = [datetime(2026, 5, day, 9, tzinfo=UTC) for day in (4, 4, 6, 13)]
    began = {"model": "ultrasound", "model_version": "v1"}
    changed = {"dice": 0.25, "class_changed": True, "unchanged": False}
    record(app, days[0], US, 1, "benign")
    record(app, days[1], _OTHER, 1, "malignant")
    record(app, days[2], US, 2, "malignant", agreement=changed, **began)
    record(
        app,
        days[3],
        US,
        3,
        "normal",
        agreement={"dice": 1.0, "class_changed": False, "unchanged": True},
        **began,
    )
    # None of these is a reader's accepted reading.
    record(app, days[0], _OTHER, 2, "benign", client_id=None)
    record(app, days[0], _OTHER, 3, "benign", state="rejected", shown_as=None)
    record(app, days[0], _OTHER, 4, "benign", tag="original", state="final", shown_as="original")
    return app


def test_readings_are_counted_by_day_and_class(read_by_two: BreastLabelApp) -> None:
    assert label_days(read_by_two.catalog.database) == [
        Day(date(2026, 5, 4), benign=1, malignant=1),
        Day(date(2026, 5, 6), malignant=1),
        Day(date(2026, 5, 13), normal=1),
    ]


def test_agreement_is_summed_up_by_week(read_by_two: BreastLabelApp) -> None:
    assert agreement_weeks(read_by_two.catalog.database) == [
        Week(date(2026, 5, 4), n=1, median_dice=0.25, class_changed=1.0),
        Week(date(2026, 5, 11), n=1, median_dice=1.0, class_changed=0.0),
    ]


def test_the_page_and_the_interface_tell_it(read_by_two: BreastLabelApp, client: TestClient) -> None:
    told = client.get("/api/learning").json()
    assert told["labelled"] == 0
    assert told["days"][0] == {"day": "2026-05-04", "normal": 0, "benign": 1, "malignant": 1, "unknown": 0}
    assert told["weeks"][0]["median_dice"] == 0.25
    assert {model["model"] for model in told["models"]} == set(read_by_two.trainers())
    page = client.get("/learning").text
    assert "4 readings were accepted here" in page
    assert "04 May: 1 benign, 1 malignant" in page


def test_one_modality_is_told_alone(client: TestClient) -> None:
    told = client.get("/api/learning", params={"modality": "US"}).json()
    assert [model["model"] for model in told["models"]] == ["ultrasound"]
    assert client.get("/api/learning", params={"modality": "CT"}).status_code == 422


def test_a_models_history_has_versions_intervals_and_decisions(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    shipped = json.loads((FOLDER / "mammography" / "model.json").read_text(encoding="utf-8"))
    trained = tmp_path / "trained"
    shutil.copytree(FOLDER / "mammography", trained)
    spec = {**shipped, "version": "20261201-000000-aaaaaaaa", "metrics": {"val": {"dice": 0.5, "loss": 1.0}}}
    (trained / "model.json").write_text(json.dumps(spec), encoding="utf-8")
    registry.promote("mammography", registry.add("mammography", trained))
    decision = {
        "time": "2026-12-01T10:00:00+00:00",
        "champion": shipped["version"],
        "challenger": spec["version"],
        "promoted": True,
        "reason": "it is better",
        "difference": [0.1, 0.05, 0.15],
        "auc_difference": None,
    }
    assert registry.root is not None
    lines = [
        json.dumps({**decision, "promoted": False, "challenger": "older"}),
        json.dumps(decision),
        '{"cut',
    ]
    (registry.root / "mammography" / "decisions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    history = model_history(registry, "mammography")
    first, second = history.versions
    assert (first.champion, second.champion) == (False, True)
    test = next(f for f in first.figures if f.on == "phantoms" and f.measure == "auc_lesion")
    assert [test.low, test.high] == shipped["metrics"]["test"]["phantoms"]["auc_lesion"]["ci95"]
    assert [(f.on, f.measure, f.mean, f.low) for f in second.figures] == [("validation", "dice", 0.5, None)]
    assert [d["challenger"] for d in history.decisions] == [spec["version"], "older"]

    view = learning_view(Learning(0, 0, (), (), (), (history,), None))
    (model,) = view["models"]
    assert "aaaaaaaa, Dice: 0.100 (0.050 to 0.150)" in model["challenges"]
    assert [row["promoted"] for row in model["decisions"]] == [True, False]
    assert view["labels"]["rows"] == []


def test_a_day_without_a_reading_has_its_place() -> None:
    days = (Day(date(2026, 5, 4), benign=1), Day(date(2026, 5, 6), normal=2))
    rows = learning_view(Learning(0, 0, days, (), (), (), None))["labels"]["rows"]
    assert [(day, sum(parts.values())) for day, parts in rows] == [
        ("04 May", 1),
        ("05 May", 0),
        ("06 May", 2),
    ]


def test_many_days_are_counted_by_week() -> None:
    days = tuple(Day(date(2026, month, 5), benign=month) for month in (1, 2, 3, 4))
    view = learning_view(Learning(0, 0, days, (), (), (), None))
    rows = dict(view["labels"]["rows"])
    # 5 January 2026 is a Monday; 5 February a Thursday.
    assert rows["05 Jan"]["benign"] == 1
    assert rows["02 Feb"]["benign"] == 2
    assert len(rows) == 13
    assert view["labels"]["n"] == 10


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://tracking.example:5000/", "http://tracking.example:5000/"),
        ("https://user:secret@tracking.example/mlflow", "https://tracking.example/mlflow"),
        ("sqlite:////tmp/mlflow.sqlite3", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_only_a_tracking_servers_address_is_linked(
    address: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from breastlabel.web.routes.learning import _mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert _mlflow() == shown


def test_a_training_is_told_of(
    app: BreastLabelApp, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No training was asked for yet" in client.get("/learning/training").text
    task = {
        "status": "RUNNING",
        "request": {"model": "ultrasound"},
        "progress": 0.4,
        "epoch": 2,
        "total_epochs": 5,
        "figures": {"val_dice": 0.61},
        "message": "epoch 2 of 5",
        "promoted": None,
        "version": None,
        "start_ts": "2026-05-04 09:00:00",
    }
    monkeypatch.setattr(app.jobs, "latest", lambda: task)
    running = client.get("/learning/training").text
    assert 'value="0.4"' in running
    assert "data-train-stop" in running
    assert "0.610" in running
    over = {**task, "status": "DONE", "promoted": True, "version": "v2", "end_ts": "2026-05-04 09:30:00"}
    monkeypatch.setattr(app.jobs, "latest", lambda: over)
    done = client.get("/learning/training").text
    assert "promoted" in done
    assert "data-train-start" in done
