"""How the predicted outline chooses what of an image is looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GATES", "crop_grid", "lesion_summary", "mean_under", "pooled"]

GATES = ("off", "soft", "crop")

_REACH = 2.5
"""Half the crop's side, in standard deviations of the outline: a uniform disc ends at 2."""

_SMALLEST = 0.1
"""Of the image's side: no crop is smaller, or a speck would be blown up to noise."""


def pooled(features: Tensor) -> Tensor:
    """Features (M, C, h, w) averaged and at their maximum -> (M, 2 C)."""
    return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)


def mean_under(lesion: Tensor, features: Tensor) -> Tensor:
    """Features (M, C, h, w) averaged under an outline (M, 1, H, W) -> (M, C); 0 where there is none."""
    size = (features.shape[-2], features.shape[-1])
    weight = lesion if lesion.shape[-2:] == size else F.adaptive_avg_pool2d(lesion, size)
    total = torch.einsum("bchw,bhw->bc", features, weight[:, 0].to(features.dtype))
    # One position's weight more than there is: without a lesion the answer is zero, not noise.
    return total / (weight.sum((2, 3)) + 1.0).to(features.dtype)


def lesion_summary(lesion: Tensor) -> Tensor:
    """Share of the image and highest probability of an outline (M, 1, H, W) -> (M, 2)."""
    return torch.cat([lesion.mean((2, 3)), lesion.amax((2, 3))], dim=1)


def crop_grid(lesion: Tensor, size: tuple[int, int]) -> Tensor:
    """Where to sample (`grid_sample`) to see the outline's surroundings at a size.

    The box is centred on the outline's centre of mass and reaches 2.5 of its standard deviations along each
    axis, as the moments of the probabilities are differentiable and a box around a threshold is not. Without
    a lesion it is the whole image.

    Args:
        lesion: (M, 1, H, W) probabilities.
        size: (rows, cols) of the crop.

    Returns:
        (M, rows, cols, 2), x and y in [-1, 1] where inside the image.
    """
    height, width = lesion.shape[-2:]
    # Confident pixels only: the sum of a thousand small probabilities is no lesion.
    weight = lesion[:, 0].float() ** 2
    share = weight.flatten(1).sum(1)
    total = share + 1e-6

    def moments(marginal: Tensor, length: int) -> tuple[Tensor, Tensor]:
        place = (torch.arange(length, device=lesion.device) + 0.5) * (2 / length) - 1
        centre = (marginal * place).sum(1) / total
        spread = (marginal * (place - centre[:, None]) ** 2).sum(1) / total
        half = (_REACH * (spread + 1e-8).sqrt()).clamp(_SMALLEST, 1.0)
        # Less than one position's worth of lesion: fade out to the whole image.
        sure = share.clamp(max=1.0)
        return centre * sure, half * sure + (1 - sure)

    centre_x, half_x = moments(weight.sum(1), width)
    centre_y, half_y = moments(weight.sum(2), height)
    rows = (torch.arange(size[0], device=lesion.device) + 0.5) * (2 / size[0]) - 1
    cols = (torch.arange(size[1], device=lesion.device) + 0.5) * (2 / size[1]) - 1
    y = centre_y[:, None] + half_y[:, None] * rows
    x = centre_x[:, None] + half_x[:, None] * cols
    return torch.stack([x[:, None, :].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])], dim=3)
