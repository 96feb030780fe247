"""What a network says of prepared images, as the arrays that acquisition functions read.

Each image is encoded once; dropout passes repeat only what lies behind the first dropout layer (see
``networks.dropout.SampledNetworks``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logit
from torch import Tensor, nn

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.expected_edit import expected_edit
from breastlabel.activelearning.pool import Floats, PoolError, PoolOutputs
from breastlabel.activelearning.scores import mask_disagreements
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.dropout import SampledAnswers, SampledNetworks
from breastlabel.training.precision import autocast

__all__ = [
    "ALL_NEEDS",
    "PASSES",
    "NetworkOutputs",
    "concatenate_outputs",
    "last_layer_inputs",
    "pool_outputs",
]

PASSES = 10
"""Dropout passes unless said otherwise: DESIGN.md's T, and enough for rankings that repeat."""

ALL_NEEDS = frozenset(Need)


class NetworkOutputs:
    """A network as the source of what acquisitions need, batch by batch.

    The class probabilities are the mean of the passes (of the plain answer where ``passes`` is 0). The mask
    that a reader would be shown, and so the expected edit, is the plain answer's. All images are shown to the
    same sampled networks, so an image's outputs depend neither on its batch nor on the order.

    Args:
        network: in eval mode, and left so; channels last, where that is fast, is the caller's choice.
        passes: stochastic passes; 0 for none, and then ``passes`` and ``mask_scores`` are not there.
        temperature: divides the class logits (see ``inference.calibration``).
        mask_level: threshold that makes the mask, between 0 and 1.
        seed: of the sampled networks.
        needs: fields that nobody asked for and that take time are left out.
        precision: ``auto`` is bfloat16 where the device computes it in hardware.
    """

    def __init__(
        self,
        network: HybridNetwork,
        *,
        passes: int = PASSES,
        temperature: float = 1.0,
        mask_level: float = 0.5,
        seed: int = 0,
        needs: frozenset[Need] = ALL_NEEDS,
        precision: Literal["auto", "bf16", "fp32"] = "fp32",
    ) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self._sampled = SampledNetworks(network, passes, seed=seed)
        self._temperature = temperature
        self._level = mask_level
        self._needs = needs
        self._precision: Literal["auto", "bf16", "fp32"] = precision

    def arrays(self, images: npt.NDArray[np.floating[Any]]) -> dict[Need, Floats]:
        """The arrays of `PoolOutputs` for a batch, as the network gave them: not checked to be finite.

        Args:
            images: (B, H, W) in [0, 1], prepared as the network wants them.
        """
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).float()[:, None]
        with autocast(self.device, self._precision), last_layer_inputs(self.network) as seen:
            answers = self._sampled(batch)
        features = seen[0] if seen else answers.features[-1].mean((2, 3))
        return {Need.FEATURES: features.float().cpu().numpy(), **self._answered(answers)}

    def _answered(self, answers: SampledAnswers) -> dict[Need, Floats]:
        outputs = answers.samples or [answers.plain]
        classes = torch.stack([(o.class_logits.float() / self._temperature).softmax(1) for o in outputs])
        arrays: dict[Need, Floats] = {Need.CLASS_PROBABILITIES: classes.double().mean(0).cpu().numpy()}
        if answers.samples:
            arrays[Need.PASSES] = classes.cpu().numpy()
        if Need.MASK_SCORES in self._needs and answers.samples:
            logits = torch.stack([output.mask_logits[:, 0] for output in outputs], dim=1)
            # On the logits: a sigmoid of every pixel of every pass would only move the threshold.
            arrays[Need.MASK_SCORES] = mask_disagreements(
                logits.cpu().numpy(), level=float(logit(self._level))
            )
        if Need.EXPECTED_EDITS in self._needs:
            probability = torch.sigmoid(answers.plain.mask_logits[:, 0].float()).cpu().numpy()
            arrays[Need.EXPECTED_EDITS] = _expected_edits(probability, level=self._level)
        return arrays


def pool_outputs(
    network: HybridNetwork,
    images: npt.NDArray[np.floating[Any]],
    image_ids: Sequence[str],
    *,
    passes: int = PASSES,
    temperature: float = 1.0,
    mask_level: float = 0.5,
    seed: int = 0,
    batch_size: int = 32,
    needs: frozenset[Need] = ALL_NEEDS,
) -> PoolOutputs:
    """Run the network over prepared images in memory and gather what acquisitions need.

    Args:
        network: left in the mode in which it was found.
        images: (N, H, W) in [0, 1], prepared as the network wants them.
        image_ids: N different ids.
        passes: and the following: see `NetworkOutputs`.

    Raises:
        PoolError: ``images`` has another shape, there is not one id for each, or an answer is not finite.
    """
    if images.ndim != 3 or len(images) != len(image_ids):
        raise PoolError(
            f"images must be (N, H, W) with one id each; got shape {images.shape} and {len(image_ids)} ids"
        )
    was_training = network.training
    network.eval()
    try:
        outputs = NetworkOutputs(
            network, passes=passes, temperature=temperature, mask_level=mask_level, seed=seed, needs=needs
        )
        starts = range(0, len(images), batch_size)
        parts = [outputs.arrays(images[start : start + batch_size]) for start in starts]
    finally:
        network.train(was_training)
    return concatenate_outputs(image_ids, parts)


def concatenate_outputs(image_ids: Sequence[str], parts: Sequence[Mapping[Need, Floats]]) -> PoolOutputs:
    """The pool of the batches' arrays, one behind the other; they must hold the same fields.

    Raises:
        PoolError: they do not fit the ids, or a value is not finite.
    """
    fields = {
        need.value: np.concatenate([part[need] for part in parts], axis=1 if need is Need.PASSES else 0)
        for need in (parts[0] if parts else ())
    }
    return PoolOutputs(image_ids=list(image_ids), **fields)


@contextmanager
def last_layer_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what the class head's linear layer is given; nothing where the network has none.

    Example: ``with last_layer_inputs(network) as seen: network(images)``; then ``seen[0]`` is (B, D).
    """
    seen: list[Tensor] = []
    # The layer that answers the classes is the linear one that is defined last.
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        yield seen
        return

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    hook = linear[-1].register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def _expected_edits(probability: Floats, *, level: float) -> Floats:
    """NaN where a map is not finite, so that one image's fault is not its batch's."""
    finite = np.isfinite(probability).all(axis=(1, 2))
    edits = np.full(len(probability), np.nan)
    if finite.any():
        edits[finite] = expected_edit(probability[finite], level=level)
    return edits
