"""What a network says of prepared images, as the arrays that acquisition functions read.

Each image is encoded once; dropout passes repeat only what lies behind the first dropout layer (see
``networks.dropout``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.expected_edit import expected_edit
from breastlabel.activelearning.pool import Floats, PoolError, PoolOutputs
from breastlabel.activelearning.scores import mask_disagreements
from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.networks.dropout import dropout_modules, set_dropout

__all__ = ["ALL_NEEDS", "PASSES", "concatenate_outputs", "last_layer_inputs", "pool_outputs"]

PASSES = 10
"""Dropout passes unless said otherwise: DESIGN.md's T, and enough for rankings that repeat."""

ALL_NEEDS = frozenset(Need)


@torch.inference_mode()
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
    """Run the network over prepared images and gather what acquisitions need.

    The class probabilities are the mean of the passes (of the plain answer where ``passes`` is 0); the mask
    that a reader would be shown, and so the expected edit, is the plain answer's. The dropout masks depend on
    the seed and on an image's place in ``images``, not on the caller's random state, which is left alone.

    Args:
        network: left in the mode in which it was found.
        images: (N, H, W) in [0, 1], prepared as the network wants them.
        image_ids: N different ids.
        passes: stochastic passes; 0 for none, and then ``passes`` and ``mask_scores`` are not there.
        temperature: divides the class logits (see ``inference.calibration``).
        mask_level: threshold that makes the mask.
        needs: fields that nobody asked for and that take time are left out.

    Raises:
        PoolError: ``images`` has another shape, or there is not one id for each.
    """
    if images.ndim != 3 or len(images) != len(image_ids):
        raise PoolError(
            f"images must be (N, H, W) with one id each; got shape {images.shape} and {len(image_ids)} ids"
        )
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = []
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                torch.manual_seed(seed * 1_000_003 + start)
                batch = torch.from_numpy(np.ascontiguousarray(images[part])).to(device).float()[:, None]
                answers = _answers(network, batch, passes)
                parts.append(_gather(answers, image_ids[part], temperature, mask_level, needs))
    finally:
        network.train(was_training)
    return concatenate_outputs(parts)


def concatenate_outputs(parts: Sequence[PoolOutputs]) -> PoolOutputs:
    """The pools one behind the other; they must hold the same fields."""

    def joined(need: Need, axis: int = 0) -> Floats | None:
        arrays = [getattr(part, need.value) for part in parts]
        return None if not arrays or arrays[0] is None else np.concatenate(arrays, axis=axis)

    return PoolOutputs(
        image_ids=[image_id for part in parts for image_id in part.image_ids],
        class_probabilities=joined(Need.CLASS_PROBABILITIES),
        passes=joined(Need.PASSES, axis=1),
        features=joined(Need.FEATURES),
        mask_scores=joined(Need.MASK_SCORES),
        expected_edits=joined(Need.EXPECTED_EDITS),
    )


class _Answers(NamedTuple):
    """Of one batch: the plain answer, what its class layer was given, and the stochastic passes."""

    plain: HybridOutput
    features: Tensor
    stochastic: list[HybridOutput]


def _answers(network: HybridNetwork, batch: Tensor, passes: int) -> _Answers:
    network.check_input(batch)
    encoded = network.encode(batch)
    texture = network.describe(batch)
    decoded = network.decode(encoded)
    with last_layer_inputs(network) as seen:
        plain = network.heads(decoded, encoded[-1], batch, texture=texture)
    features = seen[0].float() if seen else encoded[-1].float().mean((2, 3))
    inside_decoder = bool(dropout_modules(getattr(network, "decoder", nn.Identity())))
    set_dropout(network, True)
    try:
        stochastic = []
        for _ in range(passes):
            if inside_decoder:
                decoded = network.decode(encoded)
            stochastic.append(network.heads(decoded, encoded[-1], batch, texture=texture))
    finally:
        set_dropout(network, False)
    return _Answers(plain, features, stochastic)


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


def _gather(
    answers: _Answers, image_ids: Sequence[str], temperature: float, level: float, needs: frozenset[Need]
) -> PoolOutputs:
    outputs = answers.stochastic or [answers.plain]
    classes = torch.stack([(output.class_logits.float() / temperature).softmax(1) for output in outputs])
    probabilities = classes.double().mean(0).cpu().numpy()
    masks: Floats | None = None
    if Need.MASK_SCORES in needs and answers.stochastic:
        logits = torch.stack([output.mask_logits[:, 0].float() for output in outputs], dim=1)
        masks = torch.sigmoid(logits).cpu().numpy()
    edits: Floats | None = None
    if Need.EXPECTED_EDITS in needs:
        edits = expected_edit(
            torch.sigmoid(answers.plain.mask_logits[:, 0].float()).cpu().numpy(), level=level
        )
    return PoolOutputs(
        image_ids=list(image_ids),
        class_probabilities=probabilities,
        passes=classes.cpu().numpy() if answers.stochastic else None,
        features=answers.features.cpu().numpy(),
        mask_scores=None if masks is None else mask_disagreements(masks, level=level),
        expected_edits=edits,
    )
