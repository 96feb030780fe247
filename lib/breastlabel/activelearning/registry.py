"""Acquisitions by name, and selection with one of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from breastlabel.activelearning.acquisition import (
    BALD,
    ENTROPY,
    EXPECTED_EDIT,
    LEAST_CONFIDENCE,
    MARGIN,
    MASK_DISAGREEMENT,
    VARIATION_RATIO,
    Acquisition,
    Badge,
    ClaspPE,
    CoreSet,
    DiverseAmongBest,
    KMeansPlusPlus,
    Random,
    RankSum,
    Round,
    Stochastic,
    TopScore,
)
from breastlabel.activelearning.pool import Floats, PoolError, PoolOutputs
from breastlabel.activelearning.stochastic import Perturbation
from breastlabel.errors import UnknownNameError

__all__ = ["ACQUISITIONS", "DEFAULT_STRATEGY", "create_acquisition", "select"]

ACQUISITIONS: dict[str, Acquisition] = {
    "random": Random(),
    "entropy": TopScore(ENTROPY),
    "margin": TopScore(MARGIN),
    "least-confidence": TopScore(LEAST_CONFIDENCE),
    "bald": TopScore(BALD),
    "variation-ratio": TopScore(VARIATION_RATIO),
    "mask-disagreement": TopScore(MASK_DISAGREEMENT),
    "expected-edit": TopScore(EXPECTED_EDIT),
    "core-set": CoreSet(),
    "k-means": KMeansPlusPlus(),
    "badge": Badge(),
    "power-entropy": Stochastic(ENTROPY),
    "power-bald": Stochastic(BALD),
    # Nats are small beside Gumbel noise of width one, so the softmax needs a larger beta to matter.
    "softmax-bald": Stochastic(BALD, perturbation=Perturbation.SOFTMAX, beta=8.0),
    "softrank-bald": Stochastic(BALD, perturbation=Perturbation.SOFTRANK),
    "power-expected-edit": Stochastic(EXPECTED_EDIT),
    "clasp": ClaspPE(),
    "entropy-core-set": DiverseAmongBest(ENTROPY),
    "entropy-and-edit": RankSum((ENTROPY, EXPECTED_EDIT), (0.5, 0.5)),
    "bald-and-mask": RankSum((BALD, MASK_DISAGREEMENT), (0.5, 0.5)),
}
"""Each with its usual options; ``.needs`` says what the pool must hold."""

DEFAULT_STRATEGY = "random"
"""What is asked next where nobody says how, and what viewers choose by themselves, because ``/info`` lists it
first; see docs/concepts/simulation.md for the evidence."""


def create_acquisition(name: str, **options: Any) -> Acquisition:
    """The acquisition of this name, with options in place of its usual ones.

    Example: ``create_acquisition("power-bald", beta=4.0)``.

    Raises:
        UnknownNameError: there is no such acquisition, or it has no such option.
    """
    if name not in ACQUISITIONS:
        raise UnknownNameError("acquisition", name, ACQUISITIONS)
    acquisition = ACQUISITIONS[name]
    if not options:
        return acquisition
    valid = [field.name for field in dataclasses.fields(acquisition)]  # type: ignore[arg-type]
    for option in options:
        if option not in valid:
            raise UnknownNameError(f"option of acquisition '{name}'", option, valid or ["none"])
    changed: Acquisition = dataclasses.replace(acquisition, **options)  # type: ignore[type-var]
    return changed


def select(
    name: str | Acquisition,
    pool: PoolOutputs,
    *,
    n: int,
    rng: np.random.Generator,
    labelled_features: Floats | None = None,
    round_index: int = 0,
    n_rounds: int = 1,
) -> list[int]:
    """Choose the n images to label next.

    The choice depends on the images, not on the order in which they are listed: equals go by their id, and
    the same seed gives the same images. Without any output of a model, but with features, every acquisition
    but ``random`` is the core-set: a cold start is diversity, not chance.

    Args:
        name: a key of ACQUISITIONS, or an acquisition.
        pool: the unlabelled images.
        n: how many.
        rng: source of chance.
        labelled_features: (L, D) of the images that have a label, by the encoder of the pool's features.
        round_index: 0 in the first round of the loop.
        n_rounds: how many rounds are planned.

    Returns:
        n different indices into the pool, most useful (or first picked) first.

    Raises:
        UnknownNameError: there is no such acquisition.
        PoolError: the pool is smaller than n, or lacks what the acquisition needs.
    """
    acquisition = create_acquisition(name) if isinstance(name, str) else name
    if not 0 <= n <= len(pool):
        raise PoolError(f"n must be 0 to the {len(pool)} images of the pool; got {n}: ask for fewer")
    now = Round(rng=rng, labelled_features=labelled_features, index=round_index, count=n_rounds)
    acquisition = _for_what_is_known(acquisition, name, pool)
    order = sorted(range(len(pool)), key=pool.image_ids.__getitem__)
    return [order[i] for i in acquisition.choose(pool.take(order), n, now)]


def _for_what_is_known(acquisition: Acquisition, name: str | Acquisition, pool: PoolOutputs) -> Acquisition:
    missing = sorted(need.value for need in acquisition.needs if getattr(pool, need.value) is None)
    if not missing:
        return acquisition
    if not pool.has_model and pool.features is not None:
        return CoreSet()
    title = name if isinstance(name, str) else type(name).__name__
    raise PoolError(
        f"acquisition '{title}' needs {', '.join(missing)} of the pool; got none: score the pool with them, "
        "or choose another acquisition"
    )
