"""Trainings in a process of their own, on phantoms, with the tiny network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.errors import CheckpointError, StudiesError, UnknownNameError
from breastlabel.jobs import CancelledError, Status
from breastlabel.training import ModelRegistry, checkpoint, load_checkpoint, promotion, run
from breastlabel.training.promotion import MARGIN, challenge
from breastlabel.training.run import prepare_split, train
from breastlabel.training.worker import run_job
from breastlabel.transforms import preparation_from_config


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of 24 phantoms, and a champion trained on them."""
    studies = tmp_path_factory.mktemp("studies")
    write_phantom_studies(studies, exams=16, seed=5, shape=(64, 80))
    checkpoint = train("ultrasound", studies, output=studies / "trained", preset="tiny", epochs=2)
    registry = ModelRegistry(studies)
    registry.promote("ultrasound", registry.add("ultrasound", checkpoint))
    shutil.rmtree(checkpoint)
    return studies


@pytest.fixture
def studies(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "studies"))


@pytest.fixture
def start(studies: Path, tmp_path: Path) -> Any:
    """A function that starts a worker process on a job."""
    running: list[subprocess.Popen[bytes]] = []

    def make(**asked: object) -> tuple[subprocess.Popen[bytes], Path]:
        job = tmp_path / "job"
        job.mkdir(exist_ok=True)
        content = {"model": "ultrasound", "studies": str(studies), "preset": "tiny"} | asked
        (job / "job.json").write_text(json.dumps(content))
        command = [sys.executable, "-m", "breastlabel.training.worker", "--job", str(job)]
        worker = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        running.append(worker)
        return worker, job

    yield make
    for worker in running:
        worker.kill()
        worker.wait(10)


def _status(job: Path) -> dict[str, Any]:
    path = job / "status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _wait(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_job_trains_from_the_champion_and_reports(studies: Path, tmp_path: Path) -> None:
    before = ModelRegistry(studies).champion_version("ultrasound")
    job = tmp_path / "job"
    job.mkdir()
    asked = {
        "model": "ultrasound",
        "studies": str(studies),
        "preset": "tiny",
        "epochs": 1,
        "promote": "always",
    }
    (job / "job.json").write_text(json.dumps(asked))
    assert run_job(job) == 0
    status = _status(job)
    assert status["state"] == "done"
    assert status["epoch"] == status["epochs"] == 1
    assert status["figures"]["val_loss"] > 0
    champion = load_checkpoint(ModelRegistry(studies).champion("ultrasound"))
    assert champion.version == status["version"] != before
    assert champion.spec["training"]["start_from"] == before


@pytest.mark.slow
def test_a_worker_killed_midway_leaves_the_champion_and_goes_on_when_restarted(
    studies: Path, start: Any
) -> None:
    before = ModelRegistry(studies).champion_version("ultrasound")
    worker, job = start(epochs=6, promote="always")
    _wait(lambda: _status(job).get("epoch", 0) >= 2)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    assert ModelRegistry(studies).champion_version("ultrasound") == before
    load_checkpoint(ModelRegistry(studies).champion("ultrasound"))
    worker, job = start(epochs=6, promote="always")
    assert worker.wait(120) == 0
    history = json.loads((job / "checkpoint" / "history.json").read_text())
    assert [h["epoch"] for h in history] == [1, 2, 3, 4, 5, 6]
    assert ModelRegistry(studies).champion_version("ultrasound") == _status(job)["version"]


@pytest.mark.slow
def test_a_worker_asked_to_end_ends_soon_and_says_so(studies: Path, start: Any) -> None:
    before = ModelRegistry(studies).champion_version("ultrasound")
    worker, job = start(epochs=1000)
    _wait(lambda: _status(job).get("epoch", 0) >= 1)
    worker.terminate()
    assert worker.wait(20) == 3
    assert _status(job)["state"] == "cancelled"
    assert ModelRegistry(studies).champion_version("ultrasound") == before


def test_a_job_that_cannot_be_done_says_why(tmp_path: Path) -> None:
    job, empty = tmp_path / "job", tmp_path / "empty"
    job.mkdir()
    empty.mkdir()
    asked = {"model": "ultrasound", "studies": str(empty), "preset": "tiny", "from": None}
    (job / "job.json").write_text(json.dumps(asked))
    assert run_job(job) == 1
    assert "labelled image in the train split is required" in _status(job)["message"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("mueller-hanna-1961.png is odd"), "ValueError at "),
        (
            OSError(28, "No space left on device", "mueller-hanna-1961.png"),
            "OSError (No space left on device) at ",
        ),
    ],
)
def test_an_unexpected_error_is_told_without_names(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    error: Exception, said: str,
) -> None:  # fmt: skip
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run, "train", failing)
    job = tmp_path / "job"
    job.mkdir()
    (job / "job.json").write_text(json.dumps({"model": "ultrasound", "studies": str(studies)}))
    assert run_job(job) == 1
    status, log = _status(job), "".join(capfd.readouterr())
    assert status["state"] == "failed"
    assert said in status["message"]
    assert __name__ in status["message"]
    assert said in log
    assert "mueller" not in log + status["message"]


class Killed(BaseException):
    """In place of a kill, where the process is the test's own."""


def asked_for(job: Path, studies: Path, **options: object) -> Path:
    job.mkdir()
    asked = {"model": "ultrasound", "studies": str(studies), "preset": "tiny", "epochs": 2, "author": "hanna"}
    (job / "job.json").write_text(json.dumps(asked | {"promote": "always"} | options))
    return job


def killed_after_an_epoch(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Status.update

    def update(self: Status, **values: Any) -> None:
        real(self, **values)
        if "figures" in values:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Status, "update", update)
        with pytest.raises(Killed):
            run_job(job)


def epochs_of(job: Path) -> list[int]:
    return [h["epoch"] for h in json.loads((job / "checkpoint" / "history.json").read_text())]


def test_a_job_that_starts_again_goes_on_from_its_own_start(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another champion serves by then; else its state would not fit or, worse, be taken for it."""
    registry = ModelRegistry(studies)
    before = registry.champion_version("ultrasound")
    job = asked_for(tmp_path / "job", studies)
    killed_after_an_epoch(job, monkeypatch)
    (shipped,) = ModelRegistry(None).versions("ultrasound")
    registry.promote("ultrasound", shipped)
    assert run_job(job) == 0
    assert load_checkpoint(job / "checkpoint").spec["training"]["start_from"] == before
    assert epochs_of(job) == [1, 2]
    assert registry.champion_version("ultrasound") == _status(job)["version"]
    with Catalog.open(studies) as catalog:
        acts = [(e.action, e.author, e.details) for e in catalog.audit.entries() if "model." in e.action]
    assert [(action, author) for action, author, _ in acts[::-1]] == [
        ("model.train", "hanna"),
        ("model.train", "hanna"),
        ("model.promote", "hanna"),
    ]
    assert [d["resumed_at"] for action, _, d in acts[::-1] if action == "model.train"] == [0, 1]
    assert acts[0][2]["version"] == _status(job)["version"]


def test_a_job_whose_labels_changed_since_it_was_killed_begins_anew(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = asked_for(tmp_path / "job", studies, promote="never")
    killed_after_an_epoch(job, monkeypatch)
    with Catalog.open(studies) as catalog:
        moved = next(r.image_id for r in catalog.images(split="test"))
        catalog.update_images({moved: {"split": "train"}})
    assert run_job(job) == 0, _status(job)
    assert epochs_of(job) == [1, 2]


def test_a_job_killed_after_its_training_is_not_trained_again(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = asked_for(tmp_path / "job", studies)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "challenge", killed)
        with pytest.raises(Killed):
            run_job(job)
    version = load_checkpoint(job / "checkpoint").version
    assert run_job(job) == 0
    assert _status(job)["version"] == version == ModelRegistry(studies).champion_version("ultrasound")


@pytest.mark.parametrize("promoted", [True, False])
def test_what_serves_already_is_not_called_cancelled(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promoted: bool
) -> None:
    job = asked_for(tmp_path / "job", studies, epochs=1)
    before = ModelRegistry(studies).champion_version("ultrasound")

    def cancelled_late(
        registry: ModelRegistry, model: str, challenger: Path, *_: object, **__: object
    ) -> None:
        version = registry.add(model, challenger)
        if promoted:
            registry.promote(model, version)
        raise CancelledError

    monkeypatch.setattr(promotion, "challenge", cancelled_late)
    assert run_job(job) == (0 if promoted else 3)
    status = _status(job)
    assert status["state"] == ("done" if promoted else "cancelled")
    assert (ModelRegistry(studies).champion_version("ultrasound") == before) == (not promoted)
    with Catalog.open(studies) as catalog:
        promotions = [e.details["version"] for e in catalog.audit.entries() if e.action == "model.promote"]
    assert promotions == ([status["version"]] if promoted else [])


def test_a_training_from_another_checkpoint_does_not_go_on_with_a_killed_one(
    studies: Path, tmp_path: Path
) -> None:
    champion = ModelRegistry(studies).champion("ultrasound")
    other = train("ultrasound", studies, output=tmp_path / "other", preset="tiny", epochs=1, seed=7)

    def killed(figures: dict[str, float]) -> None:
        raise InterruptedError

    output = tmp_path / "out"
    arguments: dict[str, Any] = {"output": output, "preset": "tiny", "epochs": 2}
    with pytest.raises(InterruptedError):
        train("ultrasound", studies, start_from=champion, on_epoch=(killed,), **arguments)
    with pytest.raises(CheckpointError, match="another start"):
        train("ultrasound", studies, start_from=other, **arguments)
    train("ultrasound", studies, start_from=champion, **arguments)
    assert [h["epoch"] for h in json.loads((output / "history.json").read_text())] == [1, 2]


def test_a_checkpoint_that_is_there_has_its_history(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_folder = checkpoint.replace_folder

    def killed_after(new: Path, folder: Path) -> None:
        replace_folder(new, folder)
        raise InterruptedError

    monkeypatch.setattr(checkpoint, "replace_folder", killed_after)
    with pytest.raises(InterruptedError):
        train("ultrasound", studies, output=tmp_path / "out", preset="tiny", epochs=1)
    load_checkpoint(tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "history.json").read_text())) == 1


def test_a_worse_challenger_is_refused_and_kept(studies: Path, tmp_path: Path) -> None:
    write_phantom_studies(studies, exams=9, seed=6, shape=(64, 80), split="val")
    good = train("ultrasound", studies, output=tmp_path / "good", preset="tiny")
    bad = train("ultrasound", studies, output=tmp_path / "bad", preset="tiny", epochs=1)
    registry = ModelRegistry(studies)
    accepted = challenge(registry, "ultrasound", good, studies)
    assert accepted.promoted
    refused = challenge(registry, "ultrasound", bad, studies)
    assert not refused.promoted
    assert "worse than the champion" in refused.reason
    assert refused.n > 0
    assert refused.difference is not None
    mean, low, high = refused.difference
    assert refused.challenger_dice is not None
    assert refused.champion_dice is not None
    assert mean == pytest.approx(refused.challenger_dice - refused.champion_dice)
    assert low <= mean <= high
    assert low < -MARGIN
    assert registry.champion_version("ultrasound") == accepted.challenger
    assert refused.challenger in registry.versions("ultrasound")
    decisions = (registry.root / "ultrasound" / "decisions.jsonl").read_text().splitlines()  # type: ignore[operator]
    assert [json.loads(line)["promoted"] for line in decisions] == [True, False]


def test_an_output_folder_that_is_not_ours_is_left_alone(studies: Path, tmp_path: Path) -> None:
    output = tmp_path / "holiday"
    output.mkdir()
    (output / "photo.jpg").write_text("")
    with pytest.raises(CheckpointError, match=r"photo\.jpg"):
        train("ultrasound", studies, output=output, preset="tiny", epochs=1)
    assert (output / "photo.jpg").exists()


def test_unknown_models_and_presets_list_the_valid_ones(studies: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="ultrasound"):
        train("ultrasonics", studies, output=tmp_path / "o")
    with pytest.raises(UnknownNameError, match=r"default, paper.*tiny"):
        train("ultrasound", studies, output=tmp_path / "o", preset="huge")


def test_studies_without_labels_cannot_train(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    with pytest.raises(StudiesError, match="got none"):
        train("ultrasound", tmp_path / "studies", output=tmp_path / "o", preset="tiny")


def test_without_lesions_to_compare_on_the_champion_stays(studies: Path, tmp_path: Path) -> None:
    registry = ModelRegistry(studies)
    before = registry.champion_version("ultrasound")
    challenger = train("ultrasound", studies, output=tmp_path / "new", preset="tiny", epochs=1)
    with Catalog.open(studies) as catalog:
        catalog.update_images({r.image_id: {"split": "train"} for r in catalog.images(split="val")})
    decision = challenge(registry, "ultrasound", challenger, studies)
    assert not decision.promoted
    assert "no outlined lesion to compare on" in decision.reason
    assert registry.champion_version("ultrasound") == before
    assert challenge(registry, "ultrasound", challenger, studies, always=True).promoted


def test_classes_without_outlines_are_training_material(studies: Path) -> None:
    with Catalog.open(studies) as catalog:
        ids = [r.image_id for r in catalog.images(split="val")]
        catalog.update_images({i: {"reviewed": False} for i in ids})
    for image in ids:
        (studies / "labels" / "final" / f"{image}.nrrd").unlink()
    arrays = prepare_split(studies, "val", preparation_from_config({"name": "ultrasound", "size": [32, 32]}))
    assert arrays is not None
    assert len(arrays) == len(ids)
    assert not arrays.has_mask.any()
    assert set(arrays.labels) == {0, 1, 2}


def test_a_split_whose_labels_were_all_removed_counts_as_without_images(studies: Path) -> None:
    with Catalog.open(studies) as catalog:
        ids = [r.image_id for r in catalog.images(split="val")]
        catalog.update_images({i: {"label": None} for i in ids})
    for image in ids:
        (studies / "labels" / "final" / f"{image}.nrrd").unlink()
    preparation = preparation_from_config({"name": "ultrasound", "size": [32, 32]})
    assert prepare_split(studies, "val", preparation) is None
