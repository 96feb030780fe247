"""The part of an augmentation that changes how an image looks, and moves nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from breastlabel.errors import InvalidImageError
from breastlabel.transforms.parameters import BatchParameters
from breastlabel.transforms.splines import MARGIN, spline_basis

__all__ = ["Appearance", "repainted"]

_BLUR_RADIUS = 4


@dataclass(frozen=True)
class Appearance(BatchParameters):
    """How each item's intensities change, in the order in which it happens. None: for no item.

    Attributes:
        blur: (B,) sigma of a Gaussian, in pixels; 0 for none.
        brightness: (B,) added.
        contrast: (B,) factor about the image's mean.
        gamma: (B,) exponent.
        gain: (B, 2, P) B-spline control values, over depth and over width, of the gain less 1.
        speckle: (B, 1, h, w) multiplicative noise less 1, at half the resolution.
        noise: (B, 1, H, W) additive noise.
    """

    brightness: Tensor | None = None
    contrast: Tensor | None = None
    gamma: Tensor | None = None
    gain: Tensor | None = None
    blur: Tensor | None = None
    speckle: Tensor | None = None
    noise: Tensor | None = None


def repainted(appearance: Appearance, images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with another appearance, in [0, 1] again."""
    rows, cols = images.shape[-2:]
    changed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    result = images
    if appearance.blur is not None:
        changed = changed | (appearance.blur > 0)
        result = _blurred(result, appearance.blur)
    if appearance.contrast is not None and appearance.brightness is not None:
        changed = changed | (appearance.contrast != 1) | (appearance.brightness != 0)
        mean = result.mean(dim=(1, 2, 3), keepdim=True)
        factor = _each(appearance.contrast)
        result = result * factor + (mean * (1 - factor) + _each(appearance.brightness))
    if appearance.gamma is not None:
        changed = changed | (appearance.gamma != 1)
        result = result.clamp(0, 1) ** _each(appearance.gamma)
    if appearance.gain is not None:
        changed = changed | (appearance.gain != 0).flatten(1).any(dim=1)
        result = result * _gain_field(appearance.gain, rows, cols)
    if appearance.speckle is not None:
        changed = changed | (appearance.speckle != 0).flatten(1).any(dim=1)
        grains = interpolate(appearance.speckle, size=(rows, cols), mode="bilinear", align_corners=False)
        result = result * (1 + grains)
    if appearance.noise is not None:
        if appearance.noise.shape[-2:] != images.shape[-2:]:
            raise InvalidImageError(
                f"images of {appearance.noise.shape[-2]} x {appearance.noise.shape[-1]} pixels, for which "
                f"the noise was drawn, are required; got {rows} x {cols}; draw parameters of this size"
            )
        changed = changed | (appearance.noise != 0).flatten(1).any(dim=1)
        result = result + appearance.noise
    return torch.where(_each(changed), result.clamp(0, 1), images)


def _gain_field(control: Tensor, rows: int, cols: int) -> Tensor:
    """(B, 1, H, W): gain over depth times gain, half as strong, over width."""
    cells = control.shape[-1] - MARGIN
    depth = control[:, 0] @ spline_basis(rows, cells).to(control.device).T
    width = control[:, 1] @ spline_basis(cols, cells).to(control.device).T
    return (1 + depth)[:, None, :, None] * (1 + width / 2)[:, None, None, :]


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian of its own sigma for each item; 0 leaves it (up to rounding) as it is."""
    offset = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device)
    kernel = torch.exp(-(offset**2) / (2 * sigma.clamp(min=1e-2)[:, None] ** 2))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    n, channels, rows, cols = images.shape
    kernel = kernel.repeat_interleave(channels, dim=0)
    flat = images.reshape(1, n * channels, rows, cols)
    radius = min(_BLUR_RADIUS, rows - 1, cols - 1)
    padded = torch.nn.functional.pad(flat, (radius,) * 4, mode="reflect")
    trim = slice(_BLUR_RADIUS - radius, _BLUR_RADIUS + radius + 1)
    kernel = kernel[:, trim] / kernel[:, trim].sum(dim=1, keepdim=True)
    flat = conv2d(padded, kernel[:, None, :, None], groups=n * channels)
    return conv2d(flat, kernel[:, None, None, :], groups=n * channels).reshape(images.shape)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
