from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from breastlabel.networks.base import HybridNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, fit
from breastlabel.training.interpolation import interpolated


@pytest.mark.parametrize("coefficient", [0.0, 0.25, 1.0])
def test_weights_and_statistics_lie_on_the_line_between(
    tiny_network: Callable[..., HybridNetwork], discs: Callable[..., TrainingArrays], coefficient: float
) -> None:
    start, tuned = tiny_network(), tiny_network()
    settings = TrainingSettings(epochs=2, learning_rate=1e-2, precision="fp32")
    fit(tuned, discs(12), None, settings=settings)
    before, after = start.state_dict(), tuned.state_dict()
    between = interpolated(start, tuned, coefficient).state_dict()
    moved = 0
    for name, value in between.items():
        if value.is_floating_point():
            expected = (1 - coefficient) * before[name] + coefficient * after[name]
            torch.testing.assert_close(value, expected, msg=name)
            moved += not torch.equal(before[name], after[name])
        else:
            assert torch.equal(value, after[name])
    assert moved > 10


def test_the_networks_it_lies_between_are_left_alone(tiny_network: Callable[..., HybridNetwork]) -> None:
    start, tuned = tiny_network(), tiny_network()
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(1)
    copies = [{k: v.clone() for k, v in n.state_dict().items()} for n in (start, tuned)]
    interpolated(start, tuned, 0.5)
    for network, copy in zip((start, tuned), copies, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, copy[name])
