"""The convolution block of the papers, and the encoder made of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.networks.checkpointing import run_checkpointed

__all__ = ["BlockEncoder", "ConvBlock"]


class ConvBlock(nn.Module):
    """3x3 convolution, batch normalisation, ReLU, ``convs`` times; P1, "CNN-LSTM hybrid architecture".

    With ``residual`` the input is added before the last ReLU (He et al. 2016), through a 1x1
    convolution where the shapes differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        convs: int = 1,
        stride: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for index in range(convs):
            self.convs.append(
                nn.Conv2d(
                    in_channels if index == 0 else out_channels,
                    out_channels,
                    kernel_size=3,
                    stride=stride if index == 0 else 1,
                    padding=1,
                    bias=False,
                )
            )
            self.norms.append(nn.BatchNorm2d(out_channels))
        self.shortcut: nn.Module | None = None
        if residual:
            same = in_channels == out_channels and stride == 1
            self.shortcut = (
                nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        out = x
        last = len(self.convs) - 1
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            out = norm(conv(out))
            if index < last or self.shortcut is None:
                out = F.relu(out, inplace=True)
        return out if self.shortcut is None else F.relu(out + self.shortcut(x))


class BlockEncoder(nn.Module):
    """Blocks of convolution with 2x2 max-pooling after each.

    Attributes:
        out_channels: channels of the maps it returns, finest first.
        reductions: by how much each is coarser than the input.
        checkpointing: whether blocks are computed again for the gradient, to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: Sequence[int] = (32, 64, 128),
        convs_per_block: int = 1,
        residual: bool = False,
        stem_stride: int = 1,
        pool_last: bool = True,
    ) -> None:
        """One block a width; the papers' is the default.

        Args:
            stem_stride: 2 halves the resolution in the first convolution, which saves most of the
                work, as most of it is done at full resolution.
            pool_last: whether the last block is pooled too, as in the papers; without, it is the
                bottom of the usual U-Net.
        """
        super().__init__()
        self.blocks = nn.ModuleList()
        self.checkpointing = False
        self.pool_last = pool_last
        reductions, channels = [], in_channels
        for index, width in enumerate(widths):
            # A shortcut around the first block would only carry the raw image along.
            self.blocks.append(
                ConvBlock(
                    channels,
                    width,
                    convs=convs_per_block,
                    stride=stem_stride if index == 0 else 1,
                    residual=residual and index > 0,
                )
            )
            reductions.append(stem_stride * 2**index)
            channels = width
        self.out_channels: tuple[int, ...] = tuple(widths)
        if pool_last:
            self.out_channels += (channels,)
            reductions.append(reductions[-1] * 2)
        self.reductions: tuple[int, ...] = tuple(reductions)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> every block's map before pooling, and the last one pooled."""
        features: list[Tensor] = []
        for block in self.blocks:
            x = F.max_pool2d(x, 2) if features else x
            x = run_checkpointed(block, x) if self.checkpointing else block(x)
            features.append(x)
        return [*features, F.max_pool2d(x, 2)] if self.pool_last else features
