"""BADGE: batches whose last-layer gradients are large and differ.

Reference: Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, ICLR 2020,
arXiv:1906.03671, algorithm 1. With the model's own likeliest class taken as the label, the gradient of the
cross entropy with respect to the last layer's weights is, for class k (their section 3),

    g_k = (p_k - [k = argmax p]) h,

h the features. Its length is a lower bound on the length under any true label, and grows with doubt.
"""

from __future__ import annotations

import numpy as np

from breastlabel.activelearning.kmeanspp import d2_sampling
from breastlabel.activelearning.pool import Doubles, Floats

__all__ = ["badge", "gradient_embeddings"]


def gradient_embeddings(probabilities: Floats, features: Floats) -> Doubles:
    """Hypothetical last-layer gradients: (N, K) and (N, D) -> (N, K * D), class by class."""
    a = _residuals(probabilities)
    h = np.asarray(features, dtype=np.float64)
    return np.asarray((a[:, :, None] * h[:, None, :]).reshape(len(a), -1))


def badge(probabilities: Floats, features: Floats, n: int, *, rng: np.random.Generator) -> list[int]:
    """k-means++ over the gradient embeddings, begun at the longest, as the authors' code begins it.

    The embedding is an outer product a h, so inner products are products of inner products,
    <a h, b g> = <a, b> <h, g>, and the (N, K D) array is never held.

    Args:
        probabilities: (N, K).
        features: (N, D).
        n: how many, up to N.
        rng: source of chance.

    Returns:
        n different indices into the pool, first picked first.
    """
    if n == 0:
        return []
    a = _residuals(probabilities)
    h = np.asarray(features)
    lengths = np.einsum("nk,nk->n", a, a) * np.einsum("nd,nd->n", h, h, dtype=np.float64)

    def squared_distances(index: int) -> Doubles:
        inner = (a @ a[index]) * (h @ h[index])
        return np.asarray(np.maximum(lengths + lengths[index] - 2.0 * inner, 0.0))

    first = int(np.argmax(lengths))
    return d2_sampling(squared_distances, np.full(len(a), np.inf), n, rng=rng, first=first)


def _residuals(probabilities: Floats) -> Doubles:
    """p - onehot(argmax p): (N, K)."""
    residuals = np.array(probabilities, dtype=np.float64)
    residuals[np.arange(len(residuals)), np.argmax(residuals, axis=1)] -= 1.0
    return residuals
