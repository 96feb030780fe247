"""How much of a proposed mask a reader is expected to change: one less the predicted Dice.

The proposal is m = {i : p_i >= level}. The reader's mask Y is drawn from the per-pixel probabilities by one
common threshold u, uniform on (0, 1): Y_u = {i : p_i >= u}. Each pixel then belongs to Y with probability
p_i, and a drawn mask is a whole lesion, larger or smaller. The predicted Dice is the exact expectation

    E[Dice] = integral over u of 2 |m and Y_u| / (|m| + |Y_u|) du,   0/0 = 1 (two empty masks agree).

Masks are nested, so with the probabilities sorted, q_1 >= ... >= q_n, q_0 = 1, q_{n+1} = 0 and k = |m|,

    E[Dice] = sum over j = 0..n of (q_j - q_{j+1}) 2 min(j, k) / (j + k).

Pixels drawn independently would be the other choice. It is not taken because the faint haze of thousands of
background pixels then always adds up to a few lesion pixels: an image that is surely normal would be
expected to need a whole new mask. Here such an image is expected to need 'max p' of one.

Compare: Jungo et al., On the Effect of Inter-observer Variability for a Reliable Estimation of Uncertainty
of Medical Image Segmentation, MICCAI 2018; Roy et al., Bayesian QuickNAT, NeuroImage 2019 (predicted Dice
as a measure of quality).
"""

from __future__ import annotations

import numpy as np

from breastlabel.activelearning.pool import Doubles, Floats, PoolError

__all__ = ["expected_edit", "predicted_dice"]


def predicted_dice(probability: Floats, *, level: float = 0.5) -> Doubles:
    """Expected Dice of the thresholded mask and a reader's, as above.

    Args:
        probability: (..., rows, cols), lesion probability of each pixel.
        level: threshold of the proposed mask.

    Returns:
        (...), 0 to 1; 1 where every pixel is certain.

    Raises:
        PoolError: there is no pixel, or a value is outside [0, 1].
    """
    p = np.asarray(probability, dtype=np.float64)
    if p.ndim < 2 or p.shape[-1] * p.shape[-2] == 0:
        raise PoolError(f"the probability map must be (..., rows, cols) with pixels; got shape {p.shape}")
    p = p.reshape(*p.shape[:-2], -1)
    if not np.all((p >= 0.0) & (p <= 1.0)):
        raise PoolError("the probability map must lie in [0, 1]; got values outside: apply the sigmoid first")
    descending = -np.sort(-p, axis=-1)
    widths = -np.diff(descending, axis=-1, prepend=1.0, append=0.0)
    j = np.arange(p.shape[-1] + 1, dtype=np.float64)
    k = np.count_nonzero(p >= level, axis=-1)[..., None].astype(np.float64)
    dice = np.where(j + k > 0.0, 2.0 * np.minimum(j, k) / np.maximum(j + k, 1.0), 1.0)
    return np.asarray(np.clip(np.sum(widths * dice, axis=-1), 0.0, 1.0))


def expected_edit(probability: Floats, *, level: float = 0.5) -> Doubles:
    """One less the predicted Dice: (..., rows, cols) -> (...), 0 (certain) to 1; see ``predicted_dice``."""
    return np.asarray(1.0 - predicted_dice(probability, level=level))
