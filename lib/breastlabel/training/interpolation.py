"""Between the weights before and after fine-tuning (WiSE-FT: Wortsman et al., CVPR 2022, arXiv 2109.01903).

On the straight line from a network to its fine-tuned self, much of what fine-tuning gained is kept while
much of what it lost comes back.
"""

from __future__ import annotations

import copy

import torch

from breastlabel.networks.base import HybridNetwork

__all__ = ["interpolated"]


def interpolated(start: HybridNetwork, tuned: HybridNetwork, coefficient: float) -> HybridNetwork:
    """A network ``coefficient`` of the way from ``start`` (0) to ``tuned`` (1), in evaluation mode.

    Weights and running statistics are interpolated; counters are the tuned network's.
    """
    before = start.state_dict()
    between = {
        name: torch.lerp(before[name].to(value), value, coefficient) if value.is_floating_point() else value
        for name, value in tuned.state_dict().items()
    }
    network = copy.deepcopy(tuned)
    network.load_state_dict(between)
    return network.eval()
