"""Who learns from what: patients dealt into folds, and sets of breasts mixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breastlabel.training.arrays import TrainingArrays

__all__ = ["deal_patients", "mixed", "some_of"]


def deal_patients(arrays: TrainingArrays, folds: int, seed: int) -> dict[str, int]:
    """Patient -> fold, 0 to ``folds`` - 1; all of a patient's cases are in one.

    Patients are dealt in turns by the worst class known of a case of theirs, so that each fold has its share
    of every kind.
    """
    worst: dict[str, int] = {}
    for group, label in zip(arrays.groups, arrays.labels, strict=True):
        worst[str(group)] = max(worst.get(str(group), -1), int(label))
    order = np.random.default_rng(seed).permutation(sorted(worst))
    ranked = sorted(order, key=lambda group: -worst[str(group)])
    return {str(group): place % folds for place, group in enumerate(ranked)}


def mixed(parts: Sequence[TrainingArrays], *, at_most: int | None = None) -> TrainingArrays:
    """The first set, and each later one as often as makes it at least half as large as the first.

    So a few real images weigh something beside many phantoms.

    Args:
        at_most: times that a later set is there, at most: what is repeated too often is learned by heart.
    """
    first, *others = parts
    times = [max(1, -(-len(first) // (2 * len(part)))) for part in others]
    repeated = [part for part, n in zip(others, times, strict=True) for _ in range(min(n, at_most or n))]
    return TrainingArrays.concatenate([first, *repeated]) if repeated else first


def some_of(arrays: TrainingArrays, n: int, seed: int) -> TrainingArrays:
    """A random part of the cases, in their order; all where there are no more than ``n``."""
    chosen = np.random.default_rng(seed).permutation(len(arrays))[:n]
    return arrays.select(np.sort(chosen))
