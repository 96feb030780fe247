"""ClaSP PE: class-stratified, scheduled power predictive entropy.

Reference: Lueth et al., Finally Outshining the Random Baseline: A Simple and Effective Solution for Active
Learning in 3D Biomedical Imaging, TMLR 2026, arXiv:2601.13677, and the authors' code, MIC-DKFZ/nnActive.

Taken from their code (the strategy ``class_power_pe66_exp``, which their figures name ClaSP PE): 66 % of the
budget is stratified over classes, in equal parts, and the rest is asked of the whole pool
(``ratio_fg = 0.66``). The score of an image for class c is its predictive entropy times the predicted
probability of c, that of the whole pool the entropy alone. Each is perturbed on the log scale,
log s + Gumbel(0, 1/beta). Beta is 1 at the first query and rises exponentially towards 100
(``exponential_schedule(query_steps, 1, 100)``), so that early batches are diverse and late ones exploit.
Budget that does not divide evenly goes to classes drawn at random.

Read by us, because we found the call but not the body of that function: exponential means geometric, equal
factors from round to round, and the last round has the full 100. Differing from there: they query patches of
volumes and leave the background out of the classes; we query images, and a normal image is a class of its
own, so all classes take part unless ``background`` names one that does not.
"""

from __future__ import annotations

import numpy as np

from breastlabel.activelearning.pool import Doubles, Floats, PoolError
from breastlabel.activelearning.scores import entropy
from breastlabel.activelearning.stochastic import Perturbation, gumbel_top_n, perturbation_keys

__all__ = ["clasp_pe", "class_entropies", "class_shares", "scheduled_beta"]


def clasp_pe(
    probabilities: Floats,
    n: int,
    *,
    rng: np.random.Generator,
    beta: float,
    stratified: float = 0.66,
    background: int | None = None,
) -> list[int]:
    """Draw n images: class by class, in random order, then from the whole pool.

    Args:
        probabilities: (N, K).
        n: how many, up to N.
        rng: source of chance.
        beta: power of this round, see ``scheduled_beta``.
        stratified: fraction of n that is shared among the classes.
        background: a class that gets no share.

    Returns:
        n different indices into the pool, in the order of drawing.
    """
    by_class = class_entropies(probabilities)
    classes = [c for c in range(by_class.shape[1]) if c != background]
    shares = class_shares(n, classes, stratified=stratified, rng=rng)
    free = np.ones(len(by_class), dtype=bool)
    picked: list[int] = []
    # The last turn is that of the whole pool, and takes what is left of n.
    turns = [(by_class[:, c], shares[c]) for c in shares]
    turns.append((entropy(probabilities), n - sum(shares.values())))
    for scores, share in turns:
        candidates = np.flatnonzero(free)
        keys = perturbation_keys(scores[candidates], Perturbation.POWER)
        drawn = candidates[gumbel_top_n(keys, share, beta=beta, rng=rng)]
        free[drawn] = False
        picked.extend(int(i) for i in drawn)
    return picked


def class_entropies(probabilities: Floats) -> Doubles:
    """Predictive entropy times the probability of each class: (N, K) -> (N, K), rows sum to the entropy."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(entropy(p)[:, None] * p)


def class_shares(
    n: int, classes: list[int], *, stratified: float, rng: np.random.Generator
) -> dict[int, int]:
    """How many of n each class gets: equal, the remainder to random ones; keys in random order."""
    if not 0.0 <= stratified <= 1.0:
        raise PoolError(f"the stratified fraction must lie in [0, 1]; got {stratified}")
    order = [int(c) for c in rng.permutation(classes)]
    if not order:
        return {}
    each, over = divmod(int(n * stratified), len(order))
    return {c: each + (place < over) for place, c in enumerate(order)}


def scheduled_beta(round_index: int, n_rounds: int, *, first: float = 1.0, last: float = 100.0) -> float:
    """Geometric from ``first`` in round 0 to ``last`` in round ``n_rounds - 1``; a single round is first."""
    if n_rounds < 2:
        return first
    return float(first * (last / first) ** (round_index / (n_rounds - 1)))
