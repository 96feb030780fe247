"""Smooth random fields: uniform cubic B-splines over a coarse grid of control points."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["MARGIN", "spline_basis"]

MARGIN = 3
"""Control points beyond the number of cells along an axis."""


@lru_cache(maxsize=64)
def spline_basis(length: int, cells: int) -> Tensor:
    """Cubic B-spline weights, float32 (length, cells + 3), at the pixel centres of an axis cut into `cells`.

    Each row holds four positive weights that sum to 1, so a field stays within its control points' range.

    Reference: D. Rueckert et al., Nonrigid registration using free-form deformations, IEEE TMI 18(8), 1999,
    equation 3.
    """
    position = (torch.arange(length, dtype=torch.float64) + 0.5) * (cells / length)
    cell = position.floor().clamp(max=cells - 1)
    u = position - cell
    weights = torch.stack(
        [(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], dim=1
    )
    basis = torch.zeros(length, cells + MARGIN, dtype=torch.float64)
    basis.scatter_(1, cell.long()[:, None] + torch.arange(4), weights / 6)
    return basis.float()
