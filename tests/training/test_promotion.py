"""What a challenger is compared on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from breastlabel.networks.base import HybridNetwork
from breastlabel.training import ModelRegistry, TrainingArrays, fit, promotion, save_checkpoint
from breastlabel.training.answers import Answers, Difference
from breastlabel.training.held_out import HeldOut
from breastlabel.training.promotion import AUC_MARGIN, challenge
from breastlabel.training.settings import ENOUGH_PATIENTS, TrainingSettings
from breastlabel.transforms import UltrasoundPreparation

Discs = Callable[..., TrainingArrays]


@pytest.fixture
def network(discs: Discs, tiny_network: Callable[..., HybridNetwork]) -> HybridNetwork:
    """Finds the discs and tells their classes."""
    settings = TrainingSettings(epochs=20, learning_rate=1e-2, batch_size=6, precision="fp32", patience=None)
    return fit(tiny_network(dropout=0.0), discs(36), None, settings=settings).network


def _save(network: HybridNetwork, folder: Path) -> Path:
    return save_checkpoint(
        folder,
        network,
        model="ultrasound",
        preparation=UltrasoundPreparation(size=(32, 32)),
        calibration={"temperature": 1.0},
        thresholds={"mask": 0.5, "normal": 0.5},
    )


def _exchange_classes(network: HybridNetwork) -> None:
    """The same outlines, but the scores of benign and malignant are exchanged."""
    with torch.no_grad():
        last = _class_layer(network)
        order = [0, 2, 1]
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())


def _class_layer(network: HybridNetwork) -> torch.nn.Linear:
    return [m for m in network.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 3][-1]


def _twin(network: HybridNetwork) -> HybridNetwork:
    """Other weights, the same answers: what is added to all classes alike changes no probability."""
    twin = copy.deepcopy(network)
    with torch.no_grad():
        _class_layer(twin).bias.add_(0.25)
    return twin


@pytest.mark.parametrize("classes", [True, False])
def test_a_challenger_that_only_outlines_as_well_is_refused(
    network: HybridNetwork,
    discs: Discs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    classes: bool,
) -> None:
    val = discs(36, seed=1)
    if not classes:
        val.labels[:] = 1
    monkeypatch.setattr(promotion, "prepare_split", lambda *_, **__: val)
    registry = ModelRegistry(tmp_path / "studies")
    champion = registry.add("ultrasound", _save(network, tmp_path / "a"))
    registry.promote("ultrasound", champion)
    _exchange_classes(network)
    decision = challenge(registry, "ultrasound", _save(network, tmp_path / "b"), tmp_path / "studies")
    assert decision.difference is not None
    assert not any(decision.difference)
    assert decision.n == 24
    assert "validation Dice is not worse" in decision.reason
    assert decision.promoted == (not classes)
    if classes:
        assert decision.auc_difference is not None
        mean, low, high = decision.auc_difference
        assert low <= mean < -AUC_MARGIN
        assert high < 0
        assert decision.champion_auc is not None
        assert decision.challenger_auc is not None
        assert mean == pytest.approx(decision.challenger_auc - decision.champion_auc)
        assert decision.auc_n == 36
        assert f"malignant AUC is worse by more than {AUC_MARGIN}" in decision.reason
    else:
        assert (decision.champion_auc, decision.challenger_auc, decision.auc_difference) == (None,) * 3
        assert "AUC" not in decision.reason


@pytest.mark.parametrize(
    ("auc", "kept"),
    [
        ((-0.01, -0.015, -0.005), True),
        # Of six images, one pair in another order.
        ((-0.125, -0.25, 0.0), True),
        ((-0.08, -0.12, -0.01), False),
        (None, True),
    ],
)
def test_a_loss_of_auc_must_be_large_and_shown(auc: tuple[float, float, float] | None, kept: bool) -> None:
    assert promotion.compared((0.1, 0.05, 0.2), auc)[0] == kept
    assert not promotion.compared((0.1, -0.05, 0.2), auc)[0]


@pytest.mark.parametrize(
    ("dice", "auc", "promoted", "said"),
    [
        ((0.1, -0.01, 0.2), (-0.02, -0.3, 0.2), True, "AUC is not shown to be worse"),
        ((0.1, -0.01, 0.2), None, True, "Dice is not worse"),
        ((0.1, -0.01, 0.2), (-0.07, -0.3, 0.2), False, "AUC is not shown to be, but may be, worse"),
        ((0.1, -0.01, 0.2), (-0.3, -0.5, -0.1), False, "AUC is worse"),
        ((-0.001, -0.018, 0.014), None, False, "a gain is required"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), False, "a gain is required"),
    ],
)
def test_a_gain_must_be_seen_where_held_out_labels_count(
    dice: Difference, auc: Difference | None, promoted: bool, said: str
) -> None:
    decided, reason = promotion.compared(dice, auc, must_gain=True)
    assert decided == promoted
    assert said in reason


def _held_out(folder: Path, *, champion: str, gains: list[float]) -> None:
    """As if that many patients' new labels had been held out, each one's Dice changed by its gain."""
    ids = [f"new-{i}" for i in range(len(gains))]
    groups = {i: f"patient-{i}" for i in ids}
    scores = dict.fromkeys(ids, 0.5)
    malignant = {i: n % 2 == 0 for n, i in enumerate(ids)}
    before = Answers(dict.fromkeys(ids, 0.5), scores, malignant, groups)
    after = Answers({i: 0.5 + g for i, g in zip(ids, gains, strict=True)}, scores, malignant, groups)
    HeldOut(champion, before, after).write(folder)


@pytest.mark.parametrize(
    ("gains", "promoted", "said"),
    [
        # The validation split's two patients are answered alike.
        ([0.2, 0.1, 0.3, 0.1, 0.2, 0.25], True, "4 validation images and 6 new ones"),
        ([0.3, -0.3, 0.4, -0.3, 0.2, -0.1], False, "may be worse"),
        ([-0.1] * 6, False, "may be worse"),
        # Two and two patients, however much better, may be chance.
        ([0.3, 0.3], False, "5 patients with an outlined lesion are required"),
    ],
)
def test_few_validation_images_are_joined_by_labels_that_were_held_out(
    network: HybridNetwork,
    discs: Discs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gains: list[float],
    promoted: bool,
    said: str,
) -> None:
    val = discs(6, seed=1)
    # Four of six show a lesion, of two patients.
    val.groups[:] = ["a", "a", "a", "b", "b", "b"]
    monkeypatch.setattr(promotion, "prepare_split", lambda *_, **__: val)
    registry = ModelRegistry(tmp_path / "studies")
    champion = registry.add("ultrasound", _save(network, tmp_path / "a"))
    registry.promote("ultrasound", champion)
    challenger = _save(_twin(network), tmp_path / "b")
    _held_out(challenger, champion=champion, gains=gains)
    decision = challenge(registry, "ultrasound", challenger, tmp_path / "studies")
    assert decision.promoted == promoted, decision.reason
    assert said in decision.reason
    assert (decision.n, decision.n_val) == (4 + len(gains), 4)
    assert decision.val_difference == (0, 0, 0)
    assert decision.held_out_difference is not None
    assert decision.held_out_difference[0] == pytest.approx(sum(gains) / len(gains))
    assert decision.difference is not None
    assert decision.difference[0] == pytest.approx(sum(gains) / (4 + len(gains)))
    assert (registry.champion_version("ultrasound") == champion) != promoted


def test_labels_held_out_against_another_champion_do_not_count(
    network: HybridNetwork, discs: Discs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "prepare_split", lambda *_, **__: discs(6, seed=1))
    registry = ModelRegistry(tmp_path / "studies")
    registry.promote("ultrasound", registry.add("ultrasound", _save(network, tmp_path / "a")))
    challenger = _save(_twin(network), tmp_path / "b")
    _held_out(challenger, champion="an earlier one", gains=[0.3] * 9)
    decision = challenge(registry, "ultrasound", challenger, tmp_path / "studies")
    assert not decision.promoted
    assert (decision.n, decision.n_val, decision.held_out_difference) == (4, 4, None)
    assert "there are 3" in decision.reason


def test_enough_validation_patients_decide_alone(
    network: HybridNetwork, discs: Discs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    val = discs(ENOUGH_PATIENTS * 3 // 2, seed=1)
    val.groups[:] = val.ids
    monkeypatch.setattr(promotion, "prepare_split", lambda *_, **__: val)
    registry = ModelRegistry(tmp_path / "studies")
    champion = registry.add("ultrasound", _save(network, tmp_path / "a"))
    registry.promote("ultrasound", champion)
    challenger = _save(_twin(network), tmp_path / "b")
    _held_out(challenger, champion=champion, gains=[-0.3] * 9)
    decision = challenge(registry, "ultrasound", challenger, tmp_path / "studies")
    assert decision.promoted
    assert (decision.n, decision.n_val) == (ENOUGH_PATIENTS, ENOUGH_PATIENTS)


@pytest.mark.parametrize(
    ("auc", "must_gain", "kept"),
    [
        ((-0.01, -0.3, 0.2), False, True),
        ((-0.03, -0.3, 0.2), False, False),
        ((-0.01, -0.3, 0.2), True, False),
        ((0.01, -0.3, 0.2), True, True),
    ],
)
def test_of_a_system_that_does_not_outline_auc_decides(auc: Difference, must_gain: bool, kept: bool) -> None:
    assert promotion.compared_by_class(5, auc, must_gain=must_gain)[0] == kept


def test_without_malignant_cases_a_system_that_does_not_outline_keeps_its_champion() -> None:
    assert promotion.compared_by_class(9, None) == (
        False,
        "there are no malignant and other cases to compare on",
    )
    promoted, reason = promotion.compared_by_class(4, (0.1, 0.05, 0.2))
    assert not promoted
    assert "5 patients with a malignant case are required" in reason
