"""What P1 compares with: logistic regression, on pixels for the mask, on texture for the class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.networks.texture import TEXTURE_NAMES, FeatureNorm, texture_features

__all__ = ["PixelLogisticRegression"]


class PixelLogisticRegression(HybridNetwork):
    """P1, Table I, first row: two linear models with the same answers as the networks.

    Every pixel is described by its grey value and the mean and standard deviation around it, at a few
    scales; the image by its texture statistics. Both are standardised, then linear.
    """

    def __init__(self, *, scales: Sequence[int] = (3, 7, 15, 31), n_classes: int = 3) -> None:
        """``scales`` are the odd sides of the square neighbourhoods, in pixels."""
        super().__init__()
        self.scales = tuple(scales)
        self.n_classes = n_classes
        channels = 1 + 2 * len(self.scales)
        self.pixel_norm = nn.BatchNorm2d(channels, affine=False)
        self.pixel_regression = nn.Conv2d(channels, 1, kernel_size=1)
        self.texture_norm = FeatureNorm(len(TEXTURE_NAMES), affine=False)
        self.texture_regression = nn.Linear(len(TEXTURE_NAMES), n_classes)
        for layer in (self.pixel_regression, self.texture_regression):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def encode(self, image: Tensor) -> list[Tensor]:
        """One map (B, 1 + 2 * scales, H, W): grey, then local mean and standard deviation a scale."""
        parts = [image]
        for scale in self.scales:
            mean = _local_mean(image, scale)
            variance = _local_mean(image * image, scale) - mean * mean
            parts += [mean, variance.clamp(min=0.0).sqrt()]
        return [torch.cat(parts, dim=1)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """The standardised pixel features."""
        decoded: Tensor = self.pixel_norm(features[-1])
        return decoded

    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        """Both regressions."""
        described = self.describe(image) if texture is None else texture
        return HybridOutput(
            self.pixel_regression(decoded).float(),
            self.texture_regression(self.texture_norm(described)).float(),
        )

    def describe(self, image: Tensor) -> Tensor:
        """Texture statistics (B, N)."""
        return texture_features(image)

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values."""
        return {"scales": list(self.scales), "n_classes": self.n_classes}


def _local_mean(image: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(image, side, stride=1, padding=side // 2, count_include_pad=False)
