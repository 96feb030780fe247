from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from breastlabel.training.tracking import THREAD, tracked_run


def wait_for_the_record() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(120)
            assert not thread.is_alive()


def test_nothing_is_tracked_when_it_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREASTLABEL_TRACKING", "off")
    with tracked_run(tmp_path / "site", experiment="ultrasound", name="a", parameters={}) as log:
        log({"epoch": 1, "val_dice": 0.5})
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_an_epochs_figures_are_found_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("BREASTLABEL_TRACKING")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracked_run(tmp_path, experiment="ultrasound", name="a", parameters={"seed": 3}) as log:
        log({"epoch": 1, "val_dice": 0.5, "val_auc": float("nan")})
        log({"epoch": 2, "val_dice": 0.75})
    wait_for_the_record()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.sqlite3'}")
    experiment = client.get_experiment_by_name("ultrasound")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3"}
    assert [m.value for m in client.get_metric_history(run.info.run_id, "val_dice")] == [0.5, 0.75]
    assert "val_auc" not in run.data.metrics
    assert [p.name for p in tmp_path.glob(".mlflow*")] == [], "what it was made from is gone"


def test_a_store_that_fails_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("BREASTLABEL_TRACKING")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://store")
    with tracked_run(tmp_path, experiment="ultrasound", name="a", parameters={"seed": 3}) as log:
        log({"epoch": 1, "val_dice": 0.5})
    wait_for_the_record()
    warnings = [r for r in caplog.records if r.name == "breastlabel.training.tracking"]
    assert len(warnings) == 1
    assert "goes on without a record" in warnings[0].getMessage()


def test_a_training_does_not_wait_for_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("BREASTLABEL_TRACKING")
    opened, go_on = [], threading.Event()

    def slow(folder: Path) -> object:
        assert go_on.wait(30)
        opened.append(folder)
        raise OSError

    monkeypatch.setattr("breastlabel.training.tracking.open_client", slow)
    began = time.monotonic()
    with tracked_run(tmp_path, experiment="ultrasound", name="a", parameters={}) as log:
        log({"epoch": 1, "val_dice": 0.5})
    assert time.monotonic() - began < 10
    assert opened == []
    go_on.set()
    wait_for_the_record()
    assert opened == [tmp_path]
