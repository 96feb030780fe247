from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breastlabel.errors import UnknownNameError
from breastlabel.label.errors import BadRequestError
from breastlabel.label.jobs import BackgroundJobs
from breastlabel.label.train import Trainer
from breastlabel.training.registry import ModelRegistry


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    registry = ModelRegistry(tmp_path)
    return Trainer("ultrasound", tmp_path, registry=registry, jobs=BackgroundJobs(tmp_path / "jobs"))


def test_options_are_what_slicer_can_show(trainer: Trainer) -> None:
    """Lists become choices, whose entries must be text; the first is chosen."""
    config = trainer.config()
    assert config["from"][0] == "champion"
    assert config["preset"][0] == "default"
    for value in config.values():
        assert isinstance(value, int) or all(isinstance(entry, str) for entry in value)


def test_what_slicer_sends_back_is_a_job(trainer: Trainer, tmp_path: Path) -> None:
    config: dict[str, Any] = {k: v[0] if isinstance(v, list) else v for k, v in trainer.config().items()}
    job = trainer.job({**config, "client_id": "reader", "val_split": 0.2})
    assert job == {
        "model": "ultrasound",
        "studies": str(tmp_path),
        "epochs": 20,
        "preset": "default",
        "promote": "auto",
        "seed": 0,
        "client_id": "reader",
    }


def test_training_starts_from_the_champion_unless_told_otherwise(trainer: Trainer) -> None:
    assert "from" not in trainer.job({})
    assert trainer.job({"from": ["scratch"]})["from"] is None
    assert trainer.job({"pretrained": False})["from"] is None
    assert trainer.job({"device": "cpu"})["device"] == "cpu"


@pytest.mark.parametrize(
    "request_",
    [{"from": "/etc"}, {"from": "../x"}, {"preset": "huge"}, {"promote": "yes"}, {"device": "tpu"}],
)
def test_unknown_names_are_refused_with_the_valid_ones(trainer: Trainer, request_: dict[str, str]) -> None:
    with pytest.raises(UnknownNameError, match="must be one of"):
        trainer.job(request_)


def test_wrong_numbers_are_refused(trainer: Trainer) -> None:
    with pytest.raises(BadRequestError, match="max_epochs"):
        trainer.job({"max_epochs": 0})
