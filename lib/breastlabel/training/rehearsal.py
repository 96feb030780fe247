"""Which cases make up each step's batch: a plain shuffle, or new labels mixed with old ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Batches", "MixedBatches", "ShuffledBatches"]


class Batches(Protocol):
    """The batches of one epoch; the same state of the generator gives the same batches."""

    def __call__(self, generator: torch.Generator) -> list[Tensor]:
        """Positions of the cases of each step, one int64 tensor a step."""
        ...


@dataclass(frozen=True)
class ShuffledBatches:
    """Every case once an epoch, in random order.

    Attributes:
        n: how many cases.
        size: cases a step.
    """

    n: int
    size: int

    def __call__(self, generator: torch.Generator) -> list[Tensor]:
        order = torch.randperm(self.n, generator=generator)
        # A last batch of one image would break batch normalisation, so it is left out of this epoch.
        alone = min(self.size, self.n) == 1
        return [b for b in torch.split(order, self.size) if len(b) > 1 or alone]


class MixedBatches:
    """New images and old ones in a fixed proportion (rehearsal), for a fixed number of steps.

    A few new labels among many old ones would hardly be seen, and new ones alone would let the network forget
    the old (catastrophic forgetting; rehearsal is its oldest and sturdiest remedy: Robins, Connection Science
    7, 1995; Rolnick et al., NeurIPS 2019). So while the new are fewer than ``share``, they are repeated until
    they make up that share of every step. Within each kind, no image is drawn again before all others were.

    Args:
        new: (N,) bool, true for images whose label is new. All or none may be.
        size: images a step, at most; less where there are fewer images.
        steps: steps an epoch.
        share: the least share of new images, in [0, 1].
    """

    def __init__(self, new: npt.NDArray[np.bool_], *, size: int, steps: int, share: float = 0.5) -> None:
        fresh, old = np.flatnonzero(new), np.flatnonzero(~new)
        self._fresh, self._old = torch.from_numpy(fresh), torch.from_numpy(old)
        self.size = min(size, len(new))
        self.steps = steps
        self.share = 0.0 if not len(fresh) else max(share, len(fresh) / len(new)) if len(old) else 1.0

    def __call__(self, generator: torch.Generator) -> list[Tensor]:
        # Rounded cumulatively, so that the share holds over the epoch where it cannot hold in a step.
        until = np.rint(np.arange(self.steps + 1) * self.size * self.share).astype(int)
        n_new = np.diff(until)
        fresh = _endless(self._fresh, int(n_new.sum()), generator)
        old = _endless(self._old, int((self.size - n_new).sum()), generator)
        parts = zip(
            torch.split(fresh, n_new.tolist()), torch.split(old, (self.size - n_new).tolist()), strict=True
        )
        return [torch.cat(part) for part in parts]


def _endless(items: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """``n`` of the items, in one random order after the other."""
    if n == 0:
        return items[:0]
    rounds = -(-n // len(items))
    orders = [items[torch.randperm(len(items), generator=generator)] for _ in range(rounds)]
    return torch.cat(orders)[:n]
