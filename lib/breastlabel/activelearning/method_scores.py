"""From the pool's arrays to a score for each image: what the catalog orders the next images by."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from breastlabel.activelearning.acquisition import (
    CoreSet,
    DiverseAmongBest,
    KMeansPlusPlus,
    Random,
    Stochastic,
)
from breastlabel.activelearning.pool import Floats, PoolOutputs
from breastlabel.activelearning.registry import ACQUISITIONS, create_acquisition, select
from breastlabel.errors import UnknownNameError

__all__ = [
    "BATCH",
    "METHODS",
    "REVISIT",
    "ROUNDS",
    "check_methods",
    "method_scores",
    "uses_labelled_features",
]

REVISIT = "revisit"
"""The method that scores labelled images: how far the model's mask is from the reader's."""

METHODS = (*(name for name, rule in ACQUISITIONS.items() if not isinstance(rule, Random)), REVISIT)
"""What images can be scored by; ``random`` needs no scores."""

BATCH = 100
"""How many images a rule that chooses sets chooses: about a day of one reader's labels."""

ROUNDS = 10
"""After so many rounds a rule with a schedule (ClaSP PE) is at its end and stays there."""


def check_methods(names: Sequence[str] | None) -> tuple[str, ...]:
    """The names, each once; all methods where there are none.

    Raises:
        UnknownNameError: images cannot be scored by one of them.
    """
    for name in names or ():
        if name not in METHODS:
            raise UnknownNameError("scoring method", name, METHODS)
    return tuple(dict.fromkeys(names or METHODS))


def uses_labelled_features(methods: Iterable[str]) -> bool:
    """Whether one of them keeps away from what is labelled."""
    away = (CoreSet, KMeansPlusPlus, DiverseAmongBest)
    return any(isinstance(ACQUISITIONS.get(method), away) for method in methods)


def method_scores(
    method: str,
    *,
    pool: PoolOutputs,
    version: str,
    labelled_features: Floats | None = None,
    batch: int = BATCH,
    round_index: int = 0,
    n_rounds: int = ROUNDS,
) -> dict[str, float]:
    """Scores by one acquisition; the higher, the sooner to be labelled.

    A rule that scores single images gives each its score. A rule that chooses sets, or draws, chooses
    ``batch`` images, which score ``batch``, ``batch`` - 1, ... 1 in the order of their choice; the others
    have no score. So does every rule where there is no model: one that needs its answers is then the
    core-set.

    Args:
        method: a key of ACQUISITIONS.
        pool: the images that wait.
        version: of the model; with the method's name it is the seed of the draws, so that scoring again
            without a new model draws alike.
        labelled_features: (L, D) of the labelled images.
        batch: how many are chosen, or all where there are fewer.
        round_index: of the loop, from 0.
        n_rounds: for which the schedule is made.
    """
    acquisition = create_acquisition(method)
    if pool.has_model and not isinstance(acquisition, Stochastic):
        scores = acquisition.score(pool)
        if scores is not None:
            return dict(zip(pool.image_ids, scores.tolist(), strict=True))
    n = min(batch, len(pool))
    chosen = select(
        method,
        pool,
        n=n,
        rng=np.random.default_rng(zlib.crc32(f"{version} {method}".encode())),
        labelled_features=labelled_features,
        round_index=min(round_index, n_rounds - 1),
        n_rounds=n_rounds,
    )
    return {pool.image_ids[index]: float(n - place) for place, index in enumerate(chosen)}
