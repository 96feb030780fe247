"""One small class for each way to choose; its fields are its options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from breastlabel.activelearning import scores
from breastlabel.activelearning.badge import badge
from breastlabel.activelearning.clasp import clasp_pe, scheduled_beta
from breastlabel.activelearning.combinations import diverse_among_best, rank_weighted_sum
from breastlabel.activelearning.coreset import k_center_greedy
from breastlabel.activelearning.kmeanspp import kmeans_plus_plus
from breastlabel.activelearning.pool import Doubles, Floats, PoolError, PoolOutputs
from breastlabel.activelearning.stochastic import Perturbation, gumbel_top_n, perturbation_keys, top_n

__all__ = [
    "Acquisition",
    "Badge",
    "ClaspPE",
    "CoreSet",
    "DiverseAmongBest",
    "KMeansPlusPlus",
    "Need",
    "Random",
    "RankSum",
    "Round",
    "Score",
    "Stochastic",
    "TopScore",
]


class Need(StrEnum):
    """A field of PoolOutputs that an acquisition reads."""

    CLASS_PROBABILITIES = "class_probabilities"
    PASSES = "passes"
    FEATURES = "features"
    MASK_SCORES = "mask_scores"
    EXPECTED_EDITS = "expected_edits"

    def of(self, pool: PoolOutputs) -> Floats:
        """The pool's array.

        Raises:
            PoolError: it is missing.
        """
        array: Floats | None = getattr(pool, self.value)
        if array is None:
            raise PoolError(
                f"this acquisition needs {self.value} of the pool; got none: score the pool with it"
            )
        return array


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """The state of the learning loop when images are chosen.

    Args:
        rng: source of chance.
        labelled_features: (L, D) of the labelled images; None on a cold start.
        index: 0 in the first round.
        count: how many rounds are planned.
    """

    rng: np.random.Generator
    labelled_features: Floats | None = None
    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise PoolError(f"the round must be 0 to {self.count - 1} of {self.count}; got {self.index}")


class Acquisition(ABC):
    """A rule that chooses images of the pool."""

    @property
    @abstractmethod
    def needs(self) -> frozenset[Need]:
        """What the pool must hold."""

    @abstractmethod
    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        """n different indices into the pool, most useful first; the pool holds n or more."""

    def score(self, pool: PoolOutputs) -> Doubles | None:
        """(N,), higher is more useful; None where only sets of images have a value, not each image."""
        return None


@dataclass(frozen=True)
class Score:
    """A score of single images, and what it is computed from.

    Attributes:
        need: the one array that it reads.
        function: that array -> (N,), higher is more useful.
    """

    need: Need
    function: Callable[[Floats], Doubles]

    def __call__(self, pool: PoolOutputs) -> Doubles:
        return self.function(self.need.of(pool))


def _as_it_is(values: Floats) -> Doubles:
    return np.asarray(values, dtype=np.float64)


ENTROPY = Score(Need.CLASS_PROBABILITIES, scores.entropy)
MARGIN = Score(Need.CLASS_PROBABILITIES, scores.margin)
LEAST_CONFIDENCE = Score(Need.CLASS_PROBABILITIES, scores.least_confidence)
BALD = Score(Need.PASSES, scores.bald)
VARIATION_RATIO = Score(Need.PASSES, scores.variation_ratio)
MASK_DISAGREEMENT = Score(Need.MASK_SCORES, _as_it_is)
EXPECTED_EDIT = Score(Need.EXPECTED_EDITS, _as_it_is)


@dataclass(frozen=True)
class Random(Acquisition):
    """Chance: what every other rule is measured against."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset()

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        return [int(i) for i in now.rng.permutation(len(pool))[:n]]


@dataclass(frozen=True)
class TopScore(Acquisition):
    """The n highest scores."""

    of: Score

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({self.of.need})

    def score(self, pool: PoolOutputs) -> Doubles:
        return self.of(pool)

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        return top_n(self.of(pool), n)


@dataclass(frozen=True)
class Stochastic(TopScore):
    """A draw in which high scores have the better chances; see ``stochastic``."""

    perturbation: Perturbation = Perturbation.POWER
    beta: float = 1.0

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        keys = perturbation_keys(self.of(pool), self.perturbation)
        return gumbel_top_n(keys, n, beta=self.beta, rng=now.rng)


@dataclass(frozen=True)
class RankSum(Acquisition):
    """The n highest weighted sums of ranks; see ``combinations``."""

    of: tuple[Score, ...]
    weights: tuple[float, ...]

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset(score.need for score in self.of)

    def score(self, pool: PoolOutputs) -> Doubles:
        return rank_weighted_sum([score(pool) for score in self.of], self.weights)

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        return top_n(self.score(pool), n)


@dataclass(frozen=True)
class CoreSet(Acquisition):
    """Greedy k-center over the features; also the cold start of all others."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.FEATURES})

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        return k_center_greedy(Need.FEATURES.of(pool), n, labelled=now.labelled_features)


@dataclass(frozen=True)
class KMeansPlusPlus(Acquisition):
    """D squared weighting over the features."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.FEATURES})

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        features = Need.FEATURES.of(pool)
        return kmeans_plus_plus(features, n, rng=now.rng, labelled=now.labelled_features)


@dataclass(frozen=True)
class Badge(Acquisition):
    """D squared weighting over last-layer gradients."""

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.CLASS_PROBABILITIES, Need.FEATURES})

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        probabilities, features = Need.CLASS_PROBABILITIES.of(pool), Need.FEATURES.of(pool)
        return badge(probabilities, features, n, rng=now.rng)


@dataclass(frozen=True)
class DiverseAmongBest(Acquisition):
    """The core-set of the ``factor`` n highest scores."""

    of: Score
    factor: float = 4.0

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({self.of.need, Need.FEATURES})

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        features = Need.FEATURES.of(pool)
        labelled = now.labelled_features
        return diverse_among_best(self.of(pool), features, n, factor=self.factor, labelled=labelled)


@dataclass(frozen=True)
class ClaspPE(Acquisition):
    """Class-stratified, scheduled power predictive entropy; see ``clasp``."""

    stratified: float = 0.66
    first_beta: float = 1.0
    last_beta: float = 100.0
    background: int | None = None

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.CLASS_PROBABILITIES})

    def choose(self, pool: PoolOutputs, n: int, now: Round) -> list[int]:
        return clasp_pe(
            Need.CLASS_PROBABILITIES.of(pool),
            n,
            rng=now.rng,
            beta=scheduled_beta(now.index, now.count, first=self.first_beta, last=self.last_beta),
            stratified=self.stratified,
            background=self.background,
        )
