"""Active learning, replayed: train, score the pool, choose, reveal, and again."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.outputs import pool_outputs
from breastlabel.activelearning.pool import PoolOutputs
from breastlabel.activelearning.registry import create_acquisition, select
from breastlabel.activelearning.simulation.annotator import Annotator
from breastlabel.activelearning.simulation.learner import Answers, Learner, answers
from breastlabel.activelearning.simulation.plan import Plan
from breastlabel.activelearning.simulation.store import Results
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays

__all__ = ["INITIAL", "REFERENCE", "Replay", "TimeIsUp"]

INITIAL, REFERENCE = "initial", "reference"
"""Names beside the strategies' in the results: round 0, which all share, and training on every label."""

REFERENCE_LENGTHS = (0, 1)
"""Of the reference: as long as a round, and the plan's longer one."""


class TimeIsUp(Exception):  # noqa: N818, an end that was asked for
    """The time given is over; what was done is kept."""


class Replay:
    """One simulation on prepared images.

    Args:
        train: whose labels are hidden until they are asked for.
        judges: splits on which every round's network is measured; none of their labels is learned from.
        learner: what is trained.
        plan: in which rounds.
        results: where everything is kept, and looked up first.
        time_limit: seconds after which no further training begins.
        progress: called with (what, trainings done, of how many).
    """

    def __init__(
        self,
        train: TrainingArrays,
        judges: Mapping[str, TrainingArrays],
        *,
        learner: Learner,
        plan: Plan,
        results: Results,
        time_limit: float | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self._train, self._judges = train, judges
        self._learner, self._plan, self._results = learner, plan, results
        self._ends = None if time_limit is None else time.monotonic() + time_limit
        self._progress = progress
        self._done = self._total = 0
        self._initial: tuple[int, HybridNetwork] | None = None

    def run(self, strategies: Sequence[str], seeds: Sequence[int]) -> list[int]:
        """Replay every strategy with every seed, seed by seed, so that a part of the work is of use.

        Returns:
            The seeds that are complete: all, unless the time was up before.
        """
        for_seed = 1 + len(REFERENCE_LENGTHS) + len(strategies) * self._plan.rounds
        self._done, self._total = 0, for_seed * len(seeds)
        complete = []
        try:
            for seed in seeds:
                self._round_zero(seed)
                self._reference(seed)
                for strategy in strategies:
                    self._replay(strategy, seed)
                complete.append(seed)
        except TimeIsUp:
            pass
        return complete

    def _round_zero(self, seed: int) -> None:
        if not self._known(seed, INITIAL, 0):
            self._judge(self._initial_network(seed), seed, INITIAL, 0)
        self._count()

    def _reference(self, seed: int) -> None:
        everything = Annotator(self._train)
        everything.reveal(everything.pool_ids)
        for number in REFERENCE_LENGTHS:
            if not self._known(seed, REFERENCE, number):
                self._check_time()
                epochs = (self._plan.epochs, self._plan.reference_epochs)[number]
                network = self._learner.fit(everything.labelled, epochs=epochs, seed=seed)
                self._judge(network, seed, REFERENCE, number)
            self._count()

    def _replay(self, strategy: str, seed: int) -> None:
        annotator = self._annotator(seed)
        # The network of the round before, unless its choice is known already.
        network: HybridNetwork | None = None
        for number in range(1, self._plan.rounds + 1):
            chosen = self._results.choice(seed, strategy, number)
            if chosen is None:
                if network is None:
                    network = self._network_again(annotator, seed, number - 1)
                chosen = self._choose(strategy, network, annotator, seed, number)
                self._results.keep_choice(seed, strategy, number, chosen)
            annotator.reveal(chosen)
            network = None
            if not self._known(seed, strategy, number):
                network = self._fit(annotator, seed)
                self._judge(network, seed, strategy, number)
            self._count()

    def _annotator(self, seed: int) -> Annotator:
        """With the labels of round 0: drawn by chance, the same for every strategy."""
        annotator = Annotator(self._train)
        drawn = np.random.default_rng([seed, 0]).permutation(len(self._train))[: self._plan.initial]
        annotator.reveal([str(image_id) for image_id in self._train.ids[np.sort(drawn)]])
        return annotator

    def _choose(
        self, strategy: str, network: HybridNetwork, annotator: Annotator, seed: int, number: int
    ) -> list[str]:
        needs = create_acquisition(strategy).needs
        pool = (
            pool_outputs(
                network,
                annotator.pool_images,
                annotator.pool_ids,
                passes=self._plan.passes,
                seed=seed,
                needs=needs,
            )
            if needs
            else PoolOutputs(image_ids=annotator.pool_ids)
        )
        labelled = annotator.labelled
        known = (
            pool_outputs(network, labelled.images, [str(i) for i in labelled.ids], passes=0, needs=needs)
            if Need.FEATURES in needs
            else None
        )
        chosen = select(
            strategy,
            pool,
            n=self._plan.batch,
            rng=np.random.default_rng([seed, number, zlib.crc32(strategy.encode())]),
            labelled_features=None if known is None else known.features,
            round_index=number - 1,
            n_rounds=self._plan.rounds,
        )
        return [pool.image_ids[i] for i in chosen]

    def _initial_network(self, seed: int) -> HybridNetwork:
        if self._initial is None or self._initial[0] != seed:
            self._initial = (seed, self._fit(self._annotator(seed), seed))
        return self._initial[1]

    def _network_again(self, annotator: Annotator, seed: int, number: int) -> HybridNetwork:
        """Weights are not kept: training is short, and repeats to the bit."""
        return self._initial_network(seed) if number == 0 else self._fit(annotator, seed)

    def _fit(self, annotator: Annotator, seed: int) -> HybridNetwork:
        self._check_time()
        return self._learner.fit(annotator.labelled, epochs=self._plan.epochs, seed=seed)

    def _judge(self, network: HybridNetwork, seed: int, name: str, number: int) -> None:
        precision = self._learner.settings.precision
        given: dict[str, Answers] = {
            split: answers(network, arrays, precision=precision) for split, arrays in self._judges.items()
        }
        self._results.keep_answers(seed, name, number, given)

    def _known(self, seed: int, name: str, number: int) -> bool:
        return self._results.has_answers(seed, name, number)

    def _check_time(self) -> None:
        if self._ends is not None and time.monotonic() > self._ends:
            raise TimeIsUp

    def _count(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress("replaying: trainings", self._done, self._total)
