"""A fixed bank of Gabor filters stacked on the grey image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GaborBank", "gabor_kernel"]


class GaborBank(nn.Module):
    """Grey image -> the image itself and its oriented responses, as P1, "Feature enhancement".

    One convolution whose first kernel is the identity, so that nothing is concatenated. The kernels
    are buffers: they move with the module and are never trained, nor saved, as the arguments say all.
    Responses of an image in [0, 1] lie in [-1, 1].

    Attributes:
        out_channels: one plus the number of angles.
    """

    bank: Tensor

    def __init__(
        self,
        *,
        angles: Sequence[float] = (0.0, 45.0, 90.0),
        wavelength: float = 6.0,
        phase: float = 0.0,
        sigma: float = 3.0,
        aspect: float = 0.5,
        size: int = 11,
    ) -> None:
        """Args mirror :func:`gabor_kernel`; ``angles`` in degrees."""
        super().__init__()
        identity = torch.zeros(size, size)
        identity[size // 2, size // 2] = 1.0
        oriented = [
            gabor_kernel(
                angle=angle, wavelength=wavelength, phase=phase, sigma=sigma, aspect=aspect, size=size
            )
            for angle in angles
        ]
        self.register_buffer("bank", torch.stack([identity, *oriented])[:, None], persistent=False)
        self.out_channels = 1 + len(oriented)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, 1 + angles, H, W), the image first."""
        margin = self.bank.shape[-1] // 2
        # Replicated borders: zeros would put a strong artificial edge around every image.
        return F.conv2d(F.pad(image, (margin,) * 4, mode="replicate"), self.bank)


def gabor_kernel(
    *, angle: float, wavelength: float, phase: float, sigma: float, aspect: float, size: int
) -> Tensor:
    """A real Gabor kernel (size, size), zero mean, of responses in [-1, 1] to images in [0, 1].

    ``g(x, y) = exp(-(x'^2 + gamma^2 y'^2) / (2 sigma^2)) * (cos(2 pi x' / lambda + psi) - k)`` with
    ``x' = x cos(theta) + y sin(theta)``, ``y' = -x sin(theta) + y cos(theta)`` (Daugman, J. Opt. Soc.
    Am. A 2(7), 1985; P1, "Gabor filter formulation"). ``k`` takes the mean away, so that the response
    is to structure and not to brightness (Lee, IEEE TPAMI 18(10), 1996, admissible wavelets).

    Args:
        angle: theta, degrees, the direction across the stripes; 0 answers to vertical stripes.
        wavelength: lambda, pixels.
        phase: psi, radians; 0 answers to lines, pi / 2 to edges.
        sigma: width of the envelope, pixels.
        aspect: gamma; below 1 the envelope is longer along the stripes.
        size: odd number of pixels.
    """
    if size % 2 == 0:
        raise ValueError(f"kernel size must be odd; got {size}")
    theta = math.radians(angle)
    reach = torch.arange(size, dtype=torch.float64) - size // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    across = x * math.cos(theta) + y * math.sin(theta)
    along = -x * math.sin(theta) + y * math.cos(theta)
    envelope = torch.exp(-(across**2 + (aspect * along) ** 2) / (2 * sigma**2))
    carrier = torch.cos(2 * math.pi * across / wavelength + phase)
    kernel = envelope * (carrier - (envelope * carrier).sum() / envelope.sum())
    # Half the absolute sum is the response to the image that is 1 where the kernel is positive.
    return (kernel / (kernel.abs().sum() / 2)).float()
