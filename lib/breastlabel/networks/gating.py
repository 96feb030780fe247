"""How the predicted outline chooses what of an image is looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GATES", "MEASURES", "crop_grid", "lesion_measures", "lesion_summary", "mean_under", "pooled"]

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


MEASURES = 5
"""How many numbers `lesion_measures` gives of an image."""

_SUREST = 16
"""Positions of the map of which the logits are averaged: a few, for one alone may be noise."""


def lesion_measures(logits: Tensor) -> Tensor:
    """How large, how sure and where an outline (M, 1, h, w) of logits is -> (M, 5).

    Its area in positions and the logit of its surest ones, on scales on which a small lesion is not next to
    nothing and a sure one not the end; the centre (x, y) and the spread of the probabilities, in halves of
    the image. Two views show a lesion equally far from the chest wall, a prior at the same place and smaller.
    Without a lesion the place is 0.
    """
    weight = torch.sigmoid(logits[:, 0].float()) ** 2
    area = weight.sum((1, 2))
    height, width = weight.shape[-2:]
    centre_y, spread_y = _moments(weight.sum(2), height, area + 1e-6)
    centre_x, spread_x = _moments(weight.sum(1), width, area + 1e-6)
    surest = logits[:, 0].float().flatten(1).topk(min(_SUREST, height * width), dim=1).values.mean(1)
    sure = area.clamp(max=1.0)
    spread = (spread_x + spread_y + 1e-8).sqrt()
    return torch.stack([area.log1p(), surest, centre_x * sure, centre_y * sure, spread * sure], dim=1)


def _moments(marginal: Tensor, length: int, total: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the place, -1 to 1 along an axis, of weights (M, length)."""
    place = (torch.arange(length, device=marginal.device) + 0.5) * (2 / length) - 1
    centre = (marginal * place).sum(1) / total
    return centre, (marginal * (place - centre[:, None]) ** 2).sum(1) / total


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

    def box(marginal: Tensor, length: int) -> tuple[Tensor, Tensor]:
        centre, spread = _moments(marginal, length, total)
        half = (_REACH * (spread + 1e-8).sqrt()).clamp(_SMALLEST, 1.0)
        # Less than one position's worth of lesion: fade out to the whole image.
        sure = share.clamp(max=1.0)
        return centre * sure, half * sure + (1 - sure)

    centre_x, half_x = box(weight.sum(1), width)
    centre_y, half_y = box(weight.sum(2), height)
    rows = (torch.arange(size[0], device=lesion.device) + 0.5) * (2 / size[0]) - 1
    cols = (torch.arange(size[1], device=lesion.device) + 0.5) * (2 / size[1]) - 1
    y = centre_y[:, None] + half_y[:, None] * rows
    x = centre_x[:, None] + half_x[:, None] * cols
    return torch.stack([x[:, None, :].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])], dim=3)
