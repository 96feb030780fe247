"""First-order and co-occurrence statistics of grey images, batched."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TEXTURE_NAMES", "FeatureNorm", "co_occurrence", "texture_features"]

_PERCENTILES = (10, 25, 50, 75, 90)
_LEVELS = 16
_BINS = 256
# (rows, columns) to the neighbour at 0, 45, 90 and 135 degrees.
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1))
_PROPERTIES = ("contrast", "homogeneity", "energy", "correlation", "asm", "entropy")

TEXTURE_NAMES: tuple[str, ...] = (
    "mean",
    "std",
    "skewness",
    "kurtosis",
    "entropy",
    *(f"percentile_{p}" for p in _PERCENTILES),
    *(f"glcm_{name}_mean" for name in _PROPERTIES),
    *(f"glcm_{name}_range" for name in _PROPERTIES),
)


class FeatureNorm(nn.BatchNorm1d):
    """Batch normalisation that uses its running statistics where a training batch holds one item."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N) -> (B, N)."""
        if self.training and x.shape[0] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


@torch.no_grad()
def texture_features(image: Tensor) -> Tensor:
    """Statistics of grey images in [0, 1], in the order of ``TEXTURE_NAMES``.

    Skewness and excess kurtosis are the biased moments; the entropy (nats) and the percentiles are
    those of a 256-bin histogram, so percentiles are exact to 1/256. The co-occurrence properties
    (Haralick et al. 1973) are given as mean and range over the four angles, as there. There is no
    gradient, and the precision is float32 under autocast too.

    Args:
        image: (B, 1, H, W).

    Returns:
        (B, 22) float32.
    """
    with torch.autocast(image.device.type, enabled=False):
        grey = image[:, 0].float()
        properties = _properties(co_occurrence(grey))
        spread = properties.amax(1) - properties.amin(1)
        return torch.cat([_first_order(grey), properties.mean(1), spread], dim=1)


def co_occurrence(grey: Tensor, *, levels: int = _LEVELS) -> Tensor:
    """Symmetric, normalised grey-level co-occurrence matrices at distance 1.

    Args:
        grey: (B, H, W) in [0, 1], quantised to ``levels`` equal steps.

    Returns:
        (B, 4, levels, levels): angles 0, 45, 90, 135 degrees.
    """
    quantised = (grey * levels).clamp(0, levels - 1).to(torch.int32)
    pairs = []
    for down, right in _NEIGHBOURS:
        rows, columns = grey.shape[1] - down, grey.shape[2] - abs(right)
        left = max(0, -right)
        first = quantised[:, :rows, left : left + columns]
        second = quantised[:, down:, left + right : left + right + columns]
        pairs.append(_counts(first * levels + second, levels**2))
    matrices = torch.stack(pairs, dim=1).reshape(-1, len(_NEIGHBOURS), levels, levels)
    matrices = matrices + matrices.transpose(-1, -2)
    return matrices / matrices.sum((-1, -2), keepdim=True).clamp(min=1)


def _counts(values: Tensor, n: int) -> Tensor:
    """How often each of 0..n-1 occurs in each item: (B, ...) integers -> (B, n) float32."""
    batch = values.shape[0]
    offset = torch.arange(batch, device=values.device, dtype=values.dtype) * n
    flat = (values.flatten(1) + offset[:, None]).flatten()
    return torch.bincount(flat, minlength=batch * n).view(batch, n).float()


def _first_order(grey: Tensor) -> Tensor:
    flat = grey.flatten(1)
    mean = flat.mean(1, keepdim=True)
    centred = flat - mean
    squared = centred * centred
    variance = squared.mean(1)
    scale = variance.clamp(min=1e-12)
    skewness = (squared * centred).mean(1) / scale**1.5
    kurtosis = (squared * squared).mean(1) / scale**2 - 3
    # A constant image has no shape to speak of.
    flat_image = variance < 1e-12
    skewness = skewness.masked_fill(flat_image, 0.0)
    kurtosis = kurtosis.masked_fill(flat_image, 0.0)
    bins = _counts((flat * _BINS).clamp(0, _BINS - 1).to(torch.int32), _BINS)
    share = bins / bins.sum(1, keepdim=True)
    entropy = torch.special.entr(share).sum(1)
    wanted = torch.tensor(_PERCENTILES, device=grey.device) / 100
    cumulative = share.cumsum(1)
    index = torch.searchsorted(cumulative, wanted.expand(len(flat), -1).contiguous()).clamp(max=_BINS - 1)
    percentiles = (index + 0.5) / _BINS
    scalars = torch.stack([mean[:, 0], variance.sqrt(), skewness, kurtosis, entropy], dim=1)
    return torch.cat([scalars, percentiles], dim=1)


def _properties(matrices: Tensor) -> Tensor:
    """(B, 4, L, L) -> (B, 4, 6) in the order of ``_PROPERTIES``; Haralick et al. 1973, equations 1 to 9."""
    levels = matrices.shape[-1]
    level = torch.arange(levels, device=matrices.device, dtype=torch.float32)
    difference = (level[:, None] - level[None, :]) ** 2
    contrast = (matrices * difference).sum((-1, -2))
    homogeneity = (matrices / (1 + difference)).sum((-1, -2))
    asm = (matrices**2).sum((-1, -2))
    entropy = torch.special.entr(matrices).sum((-1, -2))
    # The matrices are symmetric: both margins have the same mean and variance.
    margin = matrices.sum(-1)
    mean = (margin * level).sum(-1, keepdim=True)
    deviation = level - mean
    variance = (margin * deviation**2).sum(-1)
    covariance = torch.einsum("baij,bai,baj->ba", matrices, deviation, deviation)
    # One grey level only: perfectly correlated by convention, as in scikit-image.
    correlation = torch.where(variance > 1e-10, covariance / variance.clamp(min=1e-10), 1.0)
    return torch.stack([contrast, homogeneity, asm.sqrt(), correlation, asm, entropy], dim=-1)
