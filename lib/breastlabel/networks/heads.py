"""The two answers: where the lesion is, and what it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.networks.texture import FeatureNorm

__all__ = ["ClassHead", "InvasiveHead", "MaskHead"]


class MaskHead(nn.Module):
    """Spatial dropout and a 1x1 convolution to one lesion logit a position; P1, "Segmentation head"."""

    def __init__(self, in_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.project = nn.Conv2d(in_channels, 1, kernel_size=1)
        nn.init.normal_(self.project.weight, std=0.05)
        # A lesion covers a few percent of an image: start from there, not from one half.
        nn.init.constant_(self.project.bias, -2.0)  # type: ignore[arg-type]

    def forward(self, decoded: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h, w) logits."""
        logits: Tensor = self.project(self.dropout(decoded))
        return logits


class ClassHead(nn.Module):
    """Pooled features beside texture statistics, dropout, one linear layer; P1, "Classification head".

    The deepest map is pooled by average and maximum. With ``mask_pooling`` the deepest and the decoded
    map are averaged under the predicted lesion too, as the class is the lesion's, and the lesion's
    share of the image and its highest probability are given as well.
    """

    def __init__(
        self,
        deepest_channels: int,
        decoded_channels: int,
        *,
        texture_features: int,
        mask_pooling: bool,
        mask_gradient: bool,
        dropout: float,
        n_classes: int,
    ) -> None:
        """Args:
        texture_features: number of texture statistics; 0 for none.
        mask_gradient: whether the class loss may move the mask through the pooling.
        """
        super().__init__()
        self.mask_pooling = mask_pooling
        self.mask_gradient = mask_gradient
        self.texture_norm = FeatureNorm(texture_features) if texture_features else None
        width = 2 * deepest_channels + texture_features
        if mask_pooling:
            width += deepest_channels + decoded_channels + 2
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(width, n_classes)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, deepest: Tensor, decoded: Tensor, mask_logits: Tensor, texture: Tensor | None
    ) -> Tensor:
        """Logits (B, n_classes).

        Args:
            deepest: (B, C, h, w).
            decoded: (B, c, H, W).
            mask_logits: (B, 1, H, W).
            texture: (B, N), or None where the head has none.
        """
        parts = [deepest.mean((2, 3)), deepest.amax((2, 3))]
        if self.mask_pooling:
            lesion = torch.sigmoid(mask_logits if self.mask_gradient else mask_logits.detach())
            coarse = F.adaptive_avg_pool2d(lesion, (deepest.shape[-2], deepest.shape[-1]))
            parts += [_mean_under(lesion, decoded), _mean_under(coarse, deepest)]
            parts += [lesion.mean((2, 3)), lesion.amax((2, 3))]
        if self.texture_norm is not None and texture is not None:
            parts.append(self.texture_norm(texture))
        logits: Tensor = self.project(self.dropout(torch.cat([part.float() for part in parts], dim=1)))
        return logits.float()


class InvasiveHead(nn.Module):
    """One linear layer beside the class layer: is the cancer, if there is one, invasive? P3, figure 7."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.project = nn.Linear(in_features, 1)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B,) logits."""
        logits: Tensor = self.project(features)[:, 0]
        return logits.float()


def _mean_under(weight: Tensor, features: Tensor) -> Tensor:
    """Features (B, C, H, W) averaged under weights (B, 1, H, W) -> (B, C); towards 0 where there are none."""
    total = torch.einsum("bchw,bhw->bc", features, weight[:, 0].to(features.dtype))
    # One pixel's weight more than there is: without a lesion the answer is zero, not noise.
    return total / (weight.sum((2, 3)) + 1.0)
