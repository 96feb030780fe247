"""Dropout at prediction time: stochastic passes that repeat only what is stochastic."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork

__all__ = ["SampledAnswers", "SampledNetworks", "dropout_modules", "set_dropout", "stochastic_passes"]

_KINDS = (nn.Dropout, nn.Dropout2d)


def dropout_modules(module: nn.Module) -> list[nn.Module]:
    """Every dropout layer that can drop something, in the order of definition."""
    return [m for m in module.modules() if isinstance(m, _KINDS) and m.p > 0]


def set_dropout(module: nn.Module, active: bool) -> None:
    """Switch dropout alone on or off; normalisation keeps the mode it is in."""
    for layer in dropout_modules(module):
        layer.train(active)


@torch.inference_mode()
def stochastic_passes(
    network: HybridNetwork,
    image: Tensor,
    passes: int,
    *,
    sequence: Tensor | None = None,
    context: Tensor | None = None,
) -> list[HybridOutput]:
    """Monte Carlo dropout (Gal and Ghahramani 2016): encode once, repeat from the first dropout on.

    Args:
        network: in eval mode; left as it was found.
        image: (B, 1, H, W).
        passes: number of outputs wanted.
        sequence: (B,), of a `SequenceNetwork`: which images are read together; None for each by itself.
        context: (B, CONTEXT_SIZE), of a `SequenceNetwork`.
    """
    network.check_input(image)
    features = network.encode(image)
    answer = _reader(network, image, features, sequence, context)
    states = [(layer, layer.training) for layer in dropout_modules(network)]
    outputs: list[HybridOutput] = []
    decoded: Tensor | None = None
    inside_decoder = bool(dropout_modules(getattr(network, "decoder", nn.Identity())))
    set_dropout(network, True)
    try:
        for _ in range(passes):
            if decoded is None or inside_decoder:
                decoded = network.decode(features)
            outputs.append(answer(decoded))
    finally:
        for layer, training in states:
            layer.train(training)
    return outputs


def _reader(
    network: HybridNetwork,
    image: Tensor,
    features: list[Tensor],
    sequence: Tensor | None,
    context: Tensor | None,
) -> Callable[[Tensor], HybridOutput]:
    """From decoded maps to the answer; what does not change from pass to pass is computed here."""
    if isinstance(network, SequenceNetwork):
        batch = SequenceBatch.singles(image, context)
        batch = batch if sequence is None else batch._replace(sequence=sequence)
        return lambda decoded: network.read(features, decoded, batch)
    texture = network.describe(image)
    return lambda decoded: network.heads(decoded, features[-1], image, texture=texture)


class SampledAnswers(NamedTuple):
    """What a network and T networks drawn from it answer for a batch.

    Attributes:
        plain: without dropout.
        samples: of each drawn network.
        features: of `HybridNetwork.encode`, which all have in common.
    """

    plain: HybridOutput
    samples: list[HybridOutput]
    features: list[Tensor]


class SampledNetworks:
    """T networks drawn from one by dropout, each the same for every image that it is shown.

    A pass of Monte Carlo dropout is a draw of one network (Gal and Ghahramani 2016). Where each image draws
    its own, the draws add noise to the comparison of images. Where all images share them, as here, the noise
    is common to all, and what is said of an image does not depend on its batch (consistent dropout: Kirsch,
    van Amersfoort and Gal, BatchBALD, NeurIPS 2019, section 4).

    With few draws in common, chance would decide which channels are ever dropped. So the T draws of a channel
    are spread evenly over their range (Latin hypercube sampling: McKay, Beckman and Conover, Technometrics
    1979): each draw by itself is as `stochastic_passes` draws it, and each channel is dropped as often as any
    other.

    The dropout layers are those of `stochastic_passes`, each drops with the same odds, and here too only what
    lies behind the first of them is repeated.

    Args:
        network: in eval mode, and left so.
        passes: T; 0 for the plain answer alone.
        seed: of the draws, which are the same on every device; the caller's random state is left alone.
    """

    def __init__(self, network: HybridNetwork, passes: int, *, seed: int = 0) -> None:
        self._network = network
        self._passes = passes
        self._seed = seed
        self._layers = dropout_modules(network)
        self._masks: dict[tuple[int, torch.Size], Tensor] = {}
        self._pass: int | None = None
        self._dropouts_met = 0

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> SampledAnswers:
        """Encode once, then answer without dropout and T times with.

        Args:
            image: (B, 1, H, W).

        Raises:
            InvalidImageError: the network cannot run on images of this shape.
        """
        network = self._network
        network.check_input(image)
        hooks = [layer.register_forward_hook(self._drop) for layer in self._layers]
        try:
            features = network.encode(image)
            texture = network.describe(image)
            self._dropouts_met = 0
            decoded = network.decode(features)
            inside_decoder = self._dropouts_met > 0
            plain = network.heads(decoded, features[-1], image, texture=texture)
            samples = []
            for index in range(self._passes):
                self._pass = index
                if inside_decoder:
                    decoded = network.decode(features)
                samples.append(network.heads(decoded, features[-1], image, texture=texture))
        finally:
            self._pass = None
            for hook in hooks:
                hook.remove()
        return SampledAnswers(plain, samples, features)

    def _drop(self, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """A dropout layer in eval mode gives its input back; in a pass the draw is applied to it."""
        self._dropouts_met += 1
        return None if self._pass is None else output * self._mask(layer, output)[self._pass]

    def _mask(self, layer: nn.Module, output: Tensor) -> Tensor:
        """(T, 1, ...): what the T networks multiply the layer's output (B, ...) by."""
        place = self._layers.index(layer)
        # Whole channels of a map, else single values.
        shape = output.shape[1:2] if isinstance(layer, nn.Dropout2d) else output.shape[1:]
        mask = self._masks.get((place, shape))
        if mask is None:
            share = float(layer.p)  # type: ignore[arg-type]
            generator = torch.Generator().manual_seed(self._seed * len(self._layers) + place)
            kept = _spread_uniform(self._passes, shape, generator) >= share
            mask = kept.float() / (1.0 - share if share < 1.0 else 1.0)
            mask = mask.reshape(self._passes, 1, *shape, *(1,) * (output.ndim - 1 - len(shape)))
            self._masks[place, shape] = mask = mask.to(output.device, output.dtype)
        return mask


def _spread_uniform(draws: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """(draws, *shape) in [0, 1): uniform each, and one in each of ``draws`` equal parts of the range."""
    places = torch.rand((draws, *shape), generator=generator).argsort(0).argsort(0)
    return (places + torch.rand((draws, *shape), generator=generator)) / draws
