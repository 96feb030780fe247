"""Forward passes: plain, with test-time augmentation, and stochastic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from breastlabel.errors import UnknownNameError
from breastlabel.networks import HybridNetwork, HybridOutput, stochastic_passes

__all__ = [
    "AUGMENTATIONS",
    "RawAnswer",
    "augmented_pass",
    "averaged",
    "check_augmentations",
    "dropout_passes",
]

# Each view is its own inverse: the axes (of a (B, C, H, W) tensor) that are flipped.
AUGMENTATIONS: dict[str, tuple[int, ...]] = {
    "horizontal_flip": (3,),
    "vertical_flip": (2,),
    "both_flips": (2, 3),
}

RawAnswer = HybridOutput
"""Mask logits (B, 1, H, W) and class logits (B, K), on the network's device."""


def check_augmentations(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; UnknownNameError if one is not in `AUGMENTATIONS`."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise UnknownNameError("test-time augmentation", name, AUGMENTATIONS)
    return tuple(names)


@torch.inference_mode()
def augmented_pass(network: nn.Module, images: Tensor, *, views: Sequence[str] = ()) -> RawAnswer:
    """The mean of the network's logits over the image and its ``views``, mask logits flipped back.

    Logits, not probabilities, are averaged, so that the temperature fitted on logits still applies.
    """
    return averaged(network, images, views)


def averaged(run: Callable[[Tensor], HybridOutput], images: Tensor, views: Sequence[str]) -> HybridOutput:
    """The mean of the logits of images and their ``views``, float32, mask logits flipped back.

    Boxes are those of the images as they are.

    Args:
        run: from images (M, 1, H, W) to the answer; all of them are flipped alike.
        views: names in `AUGMENTATIONS`.
    """
    output = run(images)
    masks, classes = output.mask_logits.float(), output.class_logits.float()
    invasive = None if output.invasive_logits is None else output.invasive_logits.float()
    if not views:
        return HybridOutput(masks, classes, invasive, output.boxes)
    for name in views:
        axes = AUGMENTATIONS[name]
        turned = run(images.flip(axes))
        masks = masks + turned.mask_logits.float().flip(axes)
        classes = classes + turned.class_logits.float()
        if invasive is not None and turned.invasive_logits is not None:
            invasive = invasive + turned.invasive_logits.float()
    n = 1 + len(views)
    return HybridOutput(masks / n, classes / n, None if invasive is None else invasive / n, output.boxes)


def dropout_passes(network: HybridNetwork, image: Tensor, *, n: int, seed: int) -> RawAnswer:
    """``n`` Monte Carlo dropout passes over one image (Gal and Ghahramani, ICML 2016).

    The image is encoded once; only what lies behind the first dropout is repeated.

    Args:
        network: in evaluation mode, and left so.
        image: (1, 1, H, W).
        seed: of the dropout masks; the caller's random state is not disturbed.

    Returns:
        Logits stacked over the passes: (n, 1, H, W) and (n, K).
    """
    devices = [image.device] if image.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        outputs = stochastic_passes(network, image, n)
    return RawAnswer(
        torch.cat([output.mask_logits.float() for output in outputs]),
        torch.cat([output.class_logits.float() for output in outputs]),
    )
