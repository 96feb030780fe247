"""The part of an augmentation that moves pixels, images and masks alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.transforms.parameters import BatchParameters
from breastlabel.transforms.splines import MARGIN, spline_basis

__all__ = ["PADDINGS", "Motion", "moved"]

PADDINGS = ("border", "reflection", "zeros")


@dataclass(frozen=True)
class Motion(BatchParameters):
    """How each item moves: flip, then rotate and magnify about the centre, then shift; displaced at last.

    Attributes:
        padding: as in `torch.nn.functional.grid_sample`.
        flip_horizontal: bool (B,).
        flip_vertical: bool (B,).
        angle: (B,) in radians, counter-clockwise as seen on the screen.
        magnification: (B, 2) of columns and of rows.
        shift: (B, 2) of columns and of rows, as a fraction of each side; positive is right and down.
        control: (B, 2, P, P) displacement of the sampling position (x, y) at B-spline control points, in
            grid_sample's units (the image is 2 wide), or None.
    """

    padding: str
    flip_horizontal: Tensor
    flip_vertical: Tensor
    angle: Tensor
    magnification: Tensor
    shift: Tensor
    control: Tensor | None = None


def moved(motion: Motion, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) and masks (B, M, H, W) moved by one sampling grid, as float32."""
    _check(len(motion.angle), images, masks)
    # One tensor for both: one pass, and no way for a mask to go astray.
    stacked = torch.cat([images.float(), masks.float()], dim=1)
    stacked = torch.where(_each(motion.flip_horizontal), stacked.flip(-1), stacked)
    stacked = torch.where(_each(motion.flip_vertical), stacked.flip(-2), stacked)
    grid = _sampling_grid(motion, images.shape[-2], images.shape[-1])
    sampled = grid_sample(stacked, grid, mode="bilinear", padding_mode=motion.padding, align_corners=False)
    channels = images.shape[1]
    sampled = torch.cat([sampled[:, :channels], (sampled[:, channels:] >= 0.5).float()], dim=1)
    # Sampling at a pixel's own centre is exact only up to rounding; what does not move stays as it is.
    stacked = torch.where(_each(_is_displaced(motion)), sampled, stacked)
    return stacked[:, :channels], stacked[:, channels:]


def _sampling_grid(motion: Motion, rows: int, cols: int) -> Tensor:
    """Where each output pixel is read, (B, H, W, 2) as (x, y) in grid_sample's units."""
    device = motion.angle.device
    y = (torch.arange(rows, device=device) + 0.5) * (2 / rows) - 1
    x = (torch.arange(cols, device=device) + 0.5) * (2 / cols) - 1
    x = x[None, :] - 2 * motion.shift[:, :1]
    y = y[None, :] - 2 * motion.shift[:, 1:]
    cos, sin = motion.angle.cos()[:, None], motion.angle.sin()[:, None]
    across, down = motion.magnification[:, :1], motion.magnification[:, 1:]
    # A rotation by pixels, whose sides are equal, is sheared in units of the sides.
    tall = rows / cols
    read_x = (cos / across * x)[:, None, :] - (sin * tall / across * y)[:, :, None]
    read_y = (sin / tall / down * x)[:, None, :] + (cos / down * y)[:, :, None]
    grid = torch.stack([read_x, read_y], dim=-1)
    if motion.control is None:
        return grid
    cells = motion.control.shape[-1] - MARGIN
    over_rows = spline_basis(rows, cells).to(device)
    over_cols = spline_basis(cols, cells).to(device)
    displacement = over_rows @ motion.control @ over_cols.T
    return grid + displacement.permute(0, 2, 3, 1)


def _is_displaced(motion: Motion) -> Tensor:
    displaced = (motion.angle != 0) | (motion.magnification != 1).any(dim=1) | (motion.shift != 0).any(dim=1)
    if motion.control is not None:
        displaced = displaced | (motion.control != 0).flatten(1).any(dim=1)
    return displaced


def _each(chosen: Tensor) -> Tensor:
    return chosen[:, None, None, None]


def _check(n: int, images: Tensor, masks: Tensor) -> None:
    if images.ndim != 4 or len(images) != n:
        raise InvalidImageError(
            f"a batch of {n} images (B, C, H, W) is required; got a tensor of shape {tuple(images.shape)}; "
            "draw parameters for this batch, and give each image a channel axis"
        )
    if masks.ndim != 4 or masks.shape[0] != n or masks.shape[-2:] != images.shape[-2:]:
        raise InvalidLabelError(
            f"masks (B, M, H, W) on images of shape {tuple(images.shape)} are required; "
            f"got {tuple(masks.shape)}; prepare masks and images with the same size"
        )
