"""Passes over the images of one breast: plain, with test-time augmentation, stochastic, and explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from breastlabel.imaging.image import FloatArray
from breastlabel.inference.gradcam import grad_cam, unit_heat
from breastlabel.inference.passes import averaged
from breastlabel.networks import HybridOutput, stochastic_passes
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork

__all__ = ["sequence_dropout_passes", "sequence_heat_maps", "sequence_pass"]


@torch.inference_mode()
def sequence_pass(
    network: SequenceNetwork, batch: SequenceBatch, *, views: Sequence[str] = ()
) -> HybridOutput:
    """The mean of the network's logits over the images and their ``views``, mask logits flipped back.

    Args:
        network: in evaluation mode.
        views: names in `AUGMENTATIONS`; all images of the sequence are flipped alike.

    Returns:
        ``mask_logits`` (M, 1, H, W), ``class_logits`` (B, K), ``invasive_logits`` (B,) or None, float32.
    """
    return averaged(lambda images: network(images, batch.sequence, batch.context), batch.images, views)


def sequence_dropout_passes(
    network: SequenceNetwork, batch: SequenceBatch, *, n: int, seed: int
) -> list[HybridOutput]:
    """``n`` Monte Carlo dropout passes over the sequences, encoded once; see `stochastic_passes`.

    Args:
        seed: of the dropout masks; the caller's random state is not disturbed.
    """
    devices = [batch.images.device] if batch.images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return stochastic_passes(network, batch.images, n, sequence=batch.sequence, context=batch.context)


def sequence_heat_maps(network: SequenceNetwork, batch: SequenceBatch, class_index: int) -> FloatArray:
    """Grad-CAM of one breast's class in each of its images, on one scale.

    The gradient of the class's logit is taken with respect to the deepest maps of one image after the other,
    the other images held as they are, so that memory holds the gradients of one decoder.

    Args:
        network: in evaluation mode; its parameters and their gradients are left alone.
        batch: one sequence.
        class_index: the class to explain.

    Returns:
        (M, H, W), float32 in [0, 1], 1 at the peak over all images; all zero where nothing speaks for it.
    """
    network.check_input(batch.images)
    size = (int(batch.images.shape[-2]), int(batch.images.shape[-1]))
    with torch.no_grad():
        deepest, decoded = network.look(batch.images)
    heats = [
        F.interpolate(
            _heat(network, batch, deepest, decoded, index, class_index)[:, None],
            size=size,
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        .float()
        .cpu()
        .numpy()
        for index in range(len(batch.images))
    ]
    # One scale for all of them: the breast's, not each image's.
    return unit_heat(np.stack(heats))


def _heat(
    network: SequenceNetwork,
    batch: SequenceBatch,
    deepest: Tensor,
    decoded: Tensor,
    index: int,
    class_index: int,
) -> Tensor:
    """(1, h, w), not normalised."""
    with torch.no_grad():
        features = network.encode(batch.images[index : index + 1])
    with torch.enable_grad():
        own = features[-1].detach().requires_grad_(True)
        own_decoded = network.decode([*features[:-1], own])
        # A batch's rows differ from the row alone by rounding at most.
        logits = network.read(
            [torch.cat([deepest[:index], own, deepest[index + 1 :]])],
            torch.cat([decoded[:index], own_decoded, decoded[index + 1 :]]),
            batch,
        ).class_logits[0]
        if not logits.requires_grad:
            return torch.zeros_like(own[:, 0])
        gradients: tuple[Tensor, ...] = torch.autograd.grad(
            logits[class_index], own, allow_unused=True, materialize_grads=True
        )
    return grad_cam(own.detach(), gradients[0])
