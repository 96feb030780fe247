"""The U-Net's way back up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.networks.blocks import ConvBlock

__all__ = ["UNetDecoder"]


class UNetDecoder(nn.Module):
    """Upsample, join the encoder's map of that size, convolve; from the deepest to the finest map.

    Ronneberger et al. 2015, with nearest-neighbour upsampling in place of transposed convolution.

    Attributes:
        out_channels: channels of the map it returns, which is as fine as the encoder's finest.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        *,
        widths: Sequence[int] | None = None,
        convs_per_block: int = 1,
        dropout: float = 0.0,
    ) -> None:
        """Args:
        encoder_channels: the encoder's ``out_channels``, finest first.
        widths: channels after each step up, deepest first; those of the skips where None.
        dropout: share of channels dropped after each step but the last.
        """
        super().__init__()
        *skips, deepest = encoder_channels
        widths = tuple(reversed(skips)) if widths is None else tuple(widths)
        if len(widths) != len(skips):
            raise ValueError(
                f"one decoder width for each of the {len(skips)} steps up is required; got {len(widths)}"
            )
        self.steps = nn.ModuleList()
        self.dropouts = nn.ModuleList()
        channels = deepest
        for step, (skip, width) in enumerate(zip(reversed(skips), widths, strict=True), start=1):
            self.steps.append(ConvBlock(channels + skip, width, convs=convs_per_block))
            inner = dropout > 0 and step < len(widths)
            self.dropouts.append(nn.Dropout2d(dropout) if inner else nn.Identity())
            channels = width
        self.out_channels = channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Encoder maps, finest first -> (B, out_channels, h, w) of the finest one's size."""
        *skips, x = features
        for step, dropout, skip in zip(self.steps, self.dropouts, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = dropout(step(torch.cat([x, skip], dim=1)))
        return x
