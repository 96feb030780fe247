"""What is replayed: how many labels, in how many rounds, learned for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from breastlabel.activelearning.outputs import PASSES
from breastlabel.errors import StudiesError

__all__ = ["Plan", "plan_rounds"]

ROUNDS = 8
# Without more being said a replay labels a quarter of the train split: beyond it the strategies must meet.
_SHARE = 0.25
_LONGER = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The replay's design; with the data and the network it decides every result.

    Attributes:
        rounds: how often images are chosen; round 0, before the first choice, is not counted.
        initial: labels in round 0.
        batch: labels that each further round adds.
        epochs: length of each training, in epochs of the whole train split, however few labels there are, so
            that every round of every strategy takes equally many steps.
        reference_epochs: length of the longer of the two trainings on all labels.
        passes: dropout passes when the pool is scored.
    """

    rounds: int
    initial: int
    batch: int
    epochs: int
    reference_epochs: int
    passes: int = PASSES

    def n_labels(self) -> list[int]:
        """Labels in each round, from round 0 on."""
        return [self.initial + self.batch * r for r in range(self.rounds + 1)]

    def config(self) -> Mapping[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def plan_rounds(
    n_train: int,
    *,
    rounds: int | None = None,
    initial: int | None = None,
    batch: int | None = None,
    epochs: int,
    reference_epochs: int | None = None,
    passes: int = PASSES,
) -> Plan:
    """A plan that fits a train split of ``n_train`` images.

    Args:
        reference_epochs: four times ``epochs`` where None; the rest as in `Plan`.

    Raises:
        StudiesError: the split has fewer images than the rounds ask for.
    """
    rounds = ROUNDS if rounds is None else rounds
    share = max(1, int(n_train * _SHARE) // (rounds + 1))
    batch = share if batch is None else batch
    # Two images at least, because batch normalisation learns nothing from one.
    initial = max(2, share) if initial is None else initial
    needed = initial + rounds * batch
    if needed > n_train:
        raise StudiesError(
            f"the train split must hold {needed} images for {initial} + {rounds} x {batch} labels; it holds "
            f"{n_train}; ask for fewer --rounds, or a smaller --batch or --initial"
        )
    return Plan(
        rounds=rounds,
        initial=initial,
        batch=batch,
        epochs=epochs,
        reference_epochs=_LONGER * epochs if reference_epochs is None else reference_epochs,
        passes=passes,
    )
