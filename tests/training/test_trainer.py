from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from breastlabel.errors import CheckpointError
from breastlabel.networks.base import HybridNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, fit
from breastlabel.training.validation import area_under_roc, dice_scores
from breastlabel.transforms import Augmentation

Discs = Callable[..., TrainingArrays]
Tiny = Callable[..., HybridNetwork]
QUICK = TrainingSettings(epochs=4, learning_rate=3e-3, batch_size=6, precision="fp32", patience=None)


class _KilledError(Exception):
    pass


def _kill_after(epoch: int) -> Callable[[dict[str, float]], None]:
    def callback(figures: dict[str, float]) -> None:
        if figures["epoch"] == epoch:
            raise _KilledError

    return callback


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_a_killed_training_goes_on_as_if_it_had_not_been(
    discs: Discs, tiny_network: Tiny, tmp_path: Path, average_decay: float
) -> None:
    settings = dataclasses.replace(QUICK, average_decay=average_decay, schedule="cosine")
    train, val = discs(18), discs(6, seed=1)
    augmentation = Augmentation.paper()
    whole = fit(tiny_network(), train, val, settings=settings, augmentation=augmentation)
    state = tmp_path / "state"
    with pytest.raises(_KilledError):
        fit(
            tiny_network(), train, val, settings=settings, augmentation=augmentation, state_folder=state,
            on_epoch=(_kill_after(2),),
        )  # fmt: skip
    epochs: list[float] = []
    resumed = fit(
        tiny_network(), train, val, settings=settings, augmentation=augmentation, state_folder=state,
        on_epoch=(lambda f: epochs.append(f["epoch"]),),
    )  # fmt: skip
    assert epochs == [3, 4]
    assert resumed.best_epoch == whole.best_epoch
    for (name, a), b in zip(
        whole.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, msg=name)


def test_the_state_of_another_training_is_not_resumed(
    discs: Discs, tiny_network: Tiny, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, epochs=1)
    fit(tiny_network(), discs(6), None, settings=settings, state_folder=tmp_path / "state")
    other = dataclasses.replace(settings, seed=7)
    with pytest.raises(CheckpointError, match="another network, other settings or other labels"):
        fit(tiny_network(), discs(6), None, settings=other, state_folder=tmp_path / "state")


def test_a_training_from_another_start_is_not_resumed(
    discs: Discs, tiny_network: Tiny, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, epochs=1)
    state = tmp_path / "state"
    fit(tiny_network(), discs(6), None, settings=settings, state_folder=state, origin="a")
    with pytest.raises(CheckpointError, match="another start"):
        fit(tiny_network(), discs(6), None, settings=settings, state_folder=state, origin="b")
    resumed = fit(tiny_network(), discs(6), None, settings=settings, state_folder=state, origin="a")
    assert len(resumed.history) == 1


def test_it_learns_outline_and_class(discs: Discs, tiny_network: Tiny) -> None:
    settings = dataclasses.replace(QUICK, epochs=25, learning_rate=1e-2, monitor="score")
    result = fit(tiny_network(dropout=0.0), discs(36), discs(18, seed=1), settings=settings)
    best = result.history[result.best_epoch - 1]
    assert best["val_dice"] > 0.8
    assert best["val_auc"] > 0.9


def test_it_stops_when_validation_gets_no_better(discs: Discs, tiny_network: Tiny) -> None:
    settings = dataclasses.replace(QUICK, epochs=50, learning_rate=0.0, weight_decay=0.0, patience=2)
    # Without learning only the running statistics of batch normalisation move, and they settle.
    result = fit(tiny_network(), discs(6), discs(6, seed=1), settings=settings)
    assert len(result.history) < 50
    assert len(result.history) == result.best_epoch + 2


def test_without_time_the_network_stays_as_it_is(discs: Discs, tiny_network: Tiny) -> None:
    settings = dataclasses.replace(QUICK, time_limit=0.0)
    result = fit(tiny_network(), discs(6), discs(6, seed=1), settings=settings)
    assert result.history == []
    for (name, a), b in zip(
        result.network.state_dict().items(), tiny_network().state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, msg=name)


def test_it_ends_at_the_time_limit_with_what_it_has(discs: Discs, tiny_network: Tiny) -> None:
    settings = dataclasses.replace(QUICK, epochs=10_000, time_limit=1.0)
    result = fit(tiny_network(), discs(6), discs(6, seed=1), settings=settings)
    assert 1 <= len(result.history) < 10_000
    assert result.seconds < 10


def test_area_under_roc_counts_ties_half() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, False, True, True])
    # Pairs (positive above negative): .4>.1, .4=.4 half, .8>.1, .8>.4: 3.5 of 4.
    assert area_under_roc(scores, positive) == pytest.approx(3.5 / 4)
    assert np.isnan(area_under_roc(scores, np.ones(4, bool)))


def test_dice_is_undefined_without_a_lesion_and_zero_for_a_missed_one() -> None:
    masks = np.zeros((2, 4, 4), np.uint8)
    masks[1, :2] = 1
    dice = dice_scores(np.full((2, 4, 4), -5, np.float16), masks)
    assert np.isnan(dice[0])
    assert dice[1] == 0


def test_batches_of_one_image_are_learned_from(discs: Discs, tiny_network: Tiny) -> None:
    settings = dataclasses.replace(QUICK, epochs=1, batch_size=1)
    steps: list[tuple[int, int]] = []
    fit(tiny_network(), discs(3), None, settings=settings, on_step=[lambda *step: steps.append(step)])
    assert steps == [(1, 3), (2, 3), (3, 3)]
