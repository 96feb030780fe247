"""What a challenger is compared on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from breastlabel.networks.base import HybridNetwork
from breastlabel.training import ModelRegistry, TrainingArrays, fit, promotion, save_checkpoint
from breastlabel.training.promotion import AUC_MARGIN, challenge
from breastlabel.training.settings import TrainingSettings
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
        last = [m for m in network.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 3][-1]
        order = [0, 2, 1]
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())


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
    assert promotion._compared((0.1, 0.05, 0.2), auc)[0] == kept
    assert not promotion._compared((0.1, -0.05, 0.2), auc)[0]
