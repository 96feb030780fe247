"""A training that begins with pieces: its order, its record, and that a kill in either stage is harmless."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from breastlabel.datasets.phantoms import write_mammogram_phantoms, write_phantom_studies
from breastlabel.errors import CheckpointError, InvalidImageError
from breastlabel.imaging import LesionClass
from breastlabel.jobs import Status
from breastlabel.networks import create_network
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, fit, load_checkpoint
from breastlabel.training.piece_stage import begin_with_pieces
from breastlabel.training.presets import PRESETS
from breastlabel.training.run import prepare_split, train
from breastlabel.training.settings import PieceStage
from breastlabel.training.trainer import EpochCallback
from breastlabel.training.worker import run_job
from breastlabel.transforms import preparation_from_config

SYSTEMS = ["mammography", "cad", "screening", "fusionview"]
STAGE = PieceStage(size=32, epochs=2)


class KilledError(Exception):
    pass


def killed_at(epoch: int) -> EpochCallback:
    def callback(figures: dict[str, float]) -> None:
        if figures["epoch"] == epoch:
            raise KilledError

    return callback


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients to learn from, two to choose on, each with a malignant and another breast."""
    folder = tmp_path_factory.mktemp("studies")
    classes = [(LesionClass.MALIGNANT, LesionClass.BENIGN)]
    for split, exams, seed in (("train", 3, 1), ("val", 2, 2)):
        write_mammogram_phantoms(
            folder, exams=exams, seed=seed, shape=(96, 80), classes=classes, split=split, truth=False
        )
    return folder


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny preset, which begins with pieces."""
    tiny = dataclasses.replace(PRESETS["mammography"]["tiny"], pieces=STAGE)
    monkeypatch.setitem(PRESETS["mammography"], "tiny", tiny)


def trained(studies: Path, output: Path, **more: Any) -> dict[str, Tensor]:
    arguments = {"preset": "tiny", "epochs": 3} | more
    return load_checkpoint(train("mammography", studies, output=output, **arguments)).network.state_dict()


@pytest.mark.usefixtures("in_pieces")
def test_pieces_come_first_and_the_checkpoint_says_so(studies: Path, tmp_path: Path) -> None:
    told: list[tuple[float, bool]] = []
    progress: list[str] = []
    trained(
        studies,
        tmp_path / "a",
        on_epoch=(lambda f: told.append((f["epoch"], "on_pieces" in f)),),
        progress=lambda what, done, total: progress.append(what),
    )
    assert told == [(1, True), (2, True), (3, False), (4, False), (5, False)]
    steps = [what for what in progress if what.startswith("training")]
    assert list(dict.fromkeys(steps)) == ["training on pieces", "training"]
    training = load_checkpoint(tmp_path / "a").spec["training"]
    (stage,) = training["stages"]
    assert stage["size"] == [32, 32]
    assert stage["epochs"] == 2
    assert stage["n_train"] > training["n_train_images"]
    assert training["settings"]["learning_rate"] == stage["learning_rate"] * STAGE.rate_after
    assert training["epochs_done"] == 3
    history = json.loads((tmp_path / "a" / "history.json").read_text())
    assert [each["epoch"] for each in history] == [1, 2, 3]
    assert not list((tmp_path / "a").glob("state*"))
    assert "stages: data pieces of the images, size 32, 32" in (tmp_path / "a" / "MODEL_CARD.md").read_text()


@pytest.mark.usefixtures("in_pieces")
def test_a_kill_in_either_stage_costs_nothing(studies: Path, tmp_path: Path) -> None:
    whole = trained(studies, tmp_path / "whole")
    for epoch in (1, 4):
        with pytest.raises(KilledError):
            trained(studies, tmp_path / "killed", on_epoch=(killed_at(epoch),))
    told: list[float] = []
    resumed = trained(studies, tmp_path / "killed", on_epoch=(lambda f: told.append(f["epoch"]),))
    assert told == [5]
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.usefixtures("in_pieces")
def test_a_killed_stage_of_other_pieces_is_not_gone_on_with(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in (1, 3):
        with pytest.raises(KilledError):
            trained(studies, tmp_path / "a", on_epoch=(killed_at(epoch),))
        other = dataclasses.replace(PRESETS["mammography"]["tiny"], pieces=PieceStage(size=32, epochs=1))
        with monkeypatch.context() as patch:
            patch.setitem(PRESETS["mammography"], "tiny", other)
            with pytest.raises(CheckpointError, match="hold this very training"):
                trained(studies, tmp_path / "a")


@pytest.mark.usefixtures("in_pieces")
def test_from_a_checkpoint_there_are_no_pieces(studies: Path, tmp_path: Path) -> None:
    trained(studies, tmp_path / "a", epochs=1)
    told: list[float] = []
    trained(
        studies,
        tmp_path / "b",
        epochs=1,
        start_from=tmp_path / "a",
        on_epoch=(lambda f: told.append(f["epoch"]),),
    )
    assert told == [1]
    assert "stages" not in load_checkpoint(tmp_path / "b").spec["training"]


@pytest.mark.usefixtures("in_pieces")
def test_a_job_counts_both_stages_and_never_backwards(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    real = Status.update

    def update(self: Status, **values: Any) -> None:
        real(self, **values)
        seen.append(self.values["progress"])
        if values.get("epoch") == 1 and "figures" in values:
            raise KilledError

    asked = {"model": "mammography", "studies": str(studies), "preset": "tiny", "epochs": 1, "from": None}
    (tmp_path / "job.json").write_text(json.dumps(asked | {"promote": "never"}))
    with monkeypatch.context() as patch:
        patch.setattr(Status, "update", update)
        assert run_job(tmp_path) == 1
        first = len(seen)
        # The state of the pieces stands for the first of two epochs.
        assert run_job(tmp_path) == 0
    assert seen[: first - 1] == sorted(seen[: first - 1])
    # Taken up again: zero until the state is read.
    assert seen[first + 1] == 0.5
    assert seen[first + 1 :] == sorted(seen[first + 1 :])
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["epoch"] == status["epochs"] == 2


def test_pieces_take_their_part_of_the_time(studies: Path) -> None:
    settings = TrainingSettings(epochs=5, learning_rate=1e-3, time_limit=100.0)
    stage = PieceStage(epochs=20, time_share=0.3, rate_after=0.5)
    assert stage.first(settings) == dataclasses.replace(settings, time_limit=30.0)
    assert stage.rest(settings, seconds=10.0).time_limit == 90.0
    assert stage.rest(settings, seconds=31.0).time_limit == 70.0
    assert stage.rest(settings, seconds=10.0).learning_rate == 5e-4
    unlimited = dataclasses.replace(settings, time_limit=None)
    assert stage.first(unlimited).time_limit is None is stage.rest(unlimited, seconds=10.0).time_limit


def test_without_outlines_there_is_nothing_to_begin_with(
    breasts: Callable[..., TrainingArrays], tiny_sequences: Callable[..., SequenceNetwork], tmp_path: Path
) -> None:
    arrays = breasts(3)
    arrays.has_mask[:] = False
    network, settings = tiny_sequences(), TrainingSettings(epochs=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    begun = _begin(network, arrays, settings, tmp_path)
    assert (begun.settings, begun.provenance, begun.origin) == (settings, {}, None)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_piece_that_does_not_fit_the_network_is_refused(
    breasts: Callable[..., TrainingArrays], tiny_sequences: Callable[..., SequenceNetwork], tmp_path: Path
) -> None:
    with pytest.raises(InvalidImageError, match="divisible"):
        _begin(tiny_sequences(), breasts(3), TrainingSettings(epochs=1), tmp_path, size=17)


def _begin(
    network: SequenceNetwork, arrays: TrainingArrays, settings: TrainingSettings, output: Path, size: int = 16
) -> Any:
    preparation = preparation_from_config({"name": "mammography", "size": (32, 32)})
    stage = PieceStage(size=size)
    return begin_with_pieces(
        network, arrays, None, stage=stage, settings=settings, preparation=preparation, output=output
    )


@pytest.mark.parametrize("model", SYSTEMS)
def test_presets_begin_with_pieces_that_their_networks_take(model: str) -> None:
    for name, preset in PRESETS[model].items():
        if preset.pieces is None:
            assert name != "default" or model == "fusionview"
            continue
        assert name != "tiny"
        rows, cols = preparation_from_config(preset.preparation).size
        assert preset.pieces.size <= min(rows, cols)
        network = create_network(**preset.network)
        assert preset.pieces.size % network.stride == 0
        assert preset.epochs() == (preset.pieces.epochs, preset.settings.epochs)
        assert preset.epochs(1) == (1, 1)
        assert preset.epochs(fine_tuning=True) == (0, preset.fine_tuning.epochs)


def test_ultrasound_is_trained_as_it_was(tmp_path: Path) -> None:
    write_phantom_studies(tmp_path / "studies", exams=6, seed=5, shape=(64, 80))
    chosen = PRESETS["ultrasound"]["tiny"]
    told: list[float] = []
    found = load_checkpoint(
        train(
            "ultrasound",
            tmp_path / "studies",
            output=tmp_path / "a",
            preset="tiny",
            epochs=2,
            on_epoch=(lambda f: told.append(f["epoch"]),),
        )
    )
    assert told == [1, 2]
    assert "stages" not in found.spec["training"]
    preparation = preparation_from_config(chosen.preparation)
    arrays = [prepare_split(tmp_path / "studies", split, preparation) for split in ("train", "val")]
    settings = dataclasses.replace(chosen.settings, epochs=2)
    torch.manual_seed(settings.seed)
    network = create_network(**chosen.network)
    assert arrays[0] is not None
    expected = fit(network, arrays[0], arrays[1], settings=settings).network.state_dict()
    for name, value in found.network.state_dict().items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
