"""Dropout at prediction time: stochastic passes that repeat only what is stochastic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from breastlabel.networks.base import HybridNetwork, HybridOutput

__all__ = ["dropout_modules", "set_dropout", "stochastic_passes"]

_KINDS = (nn.Dropout, nn.Dropout2d)


def dropout_modules(module: nn.Module) -> list[nn.Module]:
    """Every dropout layer that can drop something, in the order of definition."""
    return [m for m in module.modules() if isinstance(m, _KINDS) and m.p > 0]


def set_dropout(module: nn.Module, active: bool) -> None:
    """Switch dropout alone on or off; normalisation keeps the mode it is in."""
    for layer in dropout_modules(module):
        layer.train(active)


@torch.inference_mode()
def stochastic_passes(network: HybridNetwork, image: Tensor, passes: int) -> list[HybridOutput]:
    """Monte Carlo dropout (Gal and Ghahramani 2016): encode once, repeat from the first dropout on.

    Args:
        network: in eval mode; left as it was found.
        image: (B, 1, H, W).
        passes: number of outputs wanted.
    """
    network.check_input(image)
    features = network.encode(image)
    texture = network.describe(image)
    states = [(layer, layer.training) for layer in dropout_modules(network)]
    outputs: list[HybridOutput] = []
    decoded: Tensor | None = None
    inside_decoder = bool(dropout_modules(getattr(network, "decoder", nn.Identity())))
    set_dropout(network, True)
    try:
        for _ in range(passes):
            if decoded is None or inside_decoder:
                decoded = network.decode(features)
            outputs.append(network.heads(decoded, features[-1], image, texture=texture))
    finally:
        for layer, training in states:
            layer.train(training)
    return outputs
