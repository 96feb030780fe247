"""Edge-preserving smoothing of speckle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["LARGEST_STABLE_STEP", "perona_malik"]

LARGEST_STABLE_STEP = 0.25
"""The explicit scheme with four neighbours is stable, and obeys the maximum principle, up to this step."""


def perona_malik(
    image: FloatArray, *, iterations: int = 10, kappa: float = 0.1, step: float = 0.2
) -> FloatArray:
    """Anisotropic diffusion, the explicit four-neighbour scheme with no flux across the border.

    One iteration adds ``step * sum_d g(|diff_d|) * diff_d`` over the differences to the four neighbours, with
    the conductance ``g(s) = exp(-(s / kappa)^2)`` that favours high-contrast edges. As g <= 1, no new
    extremum appears while ``step <= 1/4``.

    Reference: P. Perona, J. Malik, Scale-space and edge detection using anisotropic diffusion, IEEE TPAMI
    12(7), 1990, equations 7, 8 and 13.

    Args:
        image: float32 (rows, cols).
        iterations: number of steps; 0 returns a copy.
        kappa: the difference, in the image's own units, above which an edge is kept.
        step: time step, in (0, 0.25].

    Returns:
        float32 (rows, cols); the mean of `image` is kept, its range never widens.
    """
    if not 0 < step <= LARGEST_STABLE_STEP:
        raise ValueError(
            f"the diffusion step must lie in (0, 0.25] to be stable; got {step:g}; make it smaller"
        )
    if kappa <= 0:
        raise ValueError(f"kappa must be above 0; got {kappa:g}; 0.1 suits images in [0, 1]")
    smoothed = np.array(image, dtype=np.float32)
    for _ in range(iterations):
        down = np.diff(smoothed, axis=0)
        right = np.diff(smoothed, axis=1)
        # What one pixel gives its neighbour takes from it: the mean is kept.
        down *= step * np.exp(-np.square(down / kappa))
        right *= step * np.exp(-np.square(right / kappa))
        smoothed[:-1] += down
        smoothed[1:] -= down
        smoothed[:, :-1] += right
        smoothed[:, 1:] -= right
    return smoothed
