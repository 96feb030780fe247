"""What is asked beside the class is answered where the studies teach it, and only there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from breastlabel.networks import create_network
from breastlabel.training import TrainingArrays, TrainingSettings, load_checkpoint
from breastlabel.training.fitting import fit_checkpoint
from breastlabel.training.piece_stage import begin_with_pieces
from breastlabel.training.presets import preset
from breastlabel.training.settings import PieceStage
from breastlabel.training.unlearnable import invasive_counts, leave_out_unlearnable
from breastlabel.transforms import UltrasoundPreparation

Breasts = Callable[..., TrainingArrays]
QUICK = TrainingSettings(epochs=1, batch_size=6, learning_rate=1e-2, precision="fp32", patience=None)
PREPARATION = UltrasoundPreparation(size=(32, 32))


def _told(arrays: TrainingArrays, invasive: Sequence[int]) -> TrainingArrays:
    """What is known of the malignant breasts, in their order."""
    known = np.full(len(arrays), -1)
    known[np.flatnonzero(arrays.labels == 2)[: len(invasive)]] = invasive
    return dataclasses.replace(arrays, invasive=known)


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4, invasive=True)


def test_a_network_learns_it_keeps_it_and_says_from_how_many(breasts: Breasts, tmp_path: Path) -> None:
    train, val = _told(breasts(9), [1, 0, 1]), _told(breasts(6, seed=1), [0, 1])
    network = _network()
    begun = begin_with_pieces(
        network,  # type: ignore[arg-type]
        train,
        None,
        stage=PieceStage(size=16, epochs=1),
        settings=QUICK,
        preparation=PREPARATION,
        output=tmp_path / "a",
    )
    before = {k: v.clone() for k, v in network.state_dict().items()}
    folder = fit_checkpoint(
        network,  # type: ignore[arg-type]
        train,
        val,
        model="screening",
        preparation=PREPARATION,
        settings=begun.settings,
        output=tmp_path / "a",
        provenance=begun.provenance,
        origin=begun.origin,
    )
    checkpoint = load_checkpoint(folder)
    assert checkpoint.network.answers_invasive
    weight = checkpoint.network.state_dict()["invasive.project.weight"]
    assert not torch.equal(weight, before["invasive.project.weight"])
    assert checkpoint.spec["training"]["n_cancers_known"] == {"invasive": 2, "in_situ": 1}
    assert 0 <= checkpoint.spec["metrics"]["val"]["auc_invasive"] <= 1
    assert "train_invasive" in (folder / "history.json").read_text()


@pytest.mark.parametrize("known", [[], [1, 1], [0]])
def test_without_both_kinds_the_answer_is_left_out_and_nothing_else_changes(
    known: list[int], breasts: Breasts, tmp_path: Path
) -> None:
    arrays = _told(breasts(9), known)
    network = _network()
    folder = fit_checkpoint(
        network,  # type: ignore[arg-type]
        arrays,
        None,
        model="screening",
        preparation=PREPARATION,
        settings=dataclasses.replace(QUICK, time_limit=0),
        output=tmp_path / "a",
    )
    checkpoint = load_checkpoint(folder)
    assert not checkpoint.network.answers_invasive
    assert checkpoint.spec["network"]["invasive"] is False
    assert checkpoint.spec["calibration"].keys() == {"temperature"}
    assert "n_cancers_known" not in checkpoint.spec["training"]
    assert "invasive" not in (folder / "history.json").read_text()


def test_a_network_that_has_learned_it_keeps_it_when_it_goes_on_without(
    breasts: Breasts, tmp_path: Path
) -> None:
    folder = fit_checkpoint(
        _network(),  # type: ignore[arg-type]
        breasts(6),
        None,
        model="screening",
        preparation=PREPARATION,
        settings=dataclasses.replace(QUICK, time_limit=0),
        output=tmp_path / "a",
        provenance={"start_from": "another"},
    )
    assert load_checkpoint(folder).network.answers_invasive


def test_the_counts_are_of_what_is_known(breasts: Breasts) -> None:
    assert invasive_counts(breasts(9)) == {"invasive": 0, "in_situ": 0}
    assert invasive_counts(_told(breasts(9), [1, 0, 1])) == {"invasive": 2, "in_situ": 1}


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_presets_ask_for_it(name: str) -> None:
    network = preset("screening", name).network
    assert network["invasive"] is True
    # torchvision is not required but by the paper's, whose backbone needs it anyway.
    assert network.get("boxes", False) is (name == "paper")


def test_other_networks_are_left_alone(
    tiny_network: Callable[..., torch.nn.Module], breasts: Breasts
) -> None:
    leave_out_unlearnable(tiny_network(), breasts(3))  # type: ignore[arg-type]
