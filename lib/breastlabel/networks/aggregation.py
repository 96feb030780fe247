"""What the images of a sequence say together: recurrence, attention, or their mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.context import CONTEXT_NAMES
from breastlabel.networks.sequences import SequenceBatch

__all__ = [
    "AGGREGATIONS",
    "Aggregation",
    "change_since_priors",
    "create_aggregation",
    "mean_of_newest",
    "padded",
    "spread_of_newest",
]

_YEARS = CONTEXT_NAMES.index("years_before")
_IS_PRIOR = CONTEXT_NAMES.index("is_prior")


class Aggregation(nn.Module, ABC):
    """Steps of sequences -> one vector a sequence.

    What a sequence is answered does not depend on the sequences beside it in the batch.

    Attributes:
        out_features: length of the vector.
    """

    out_features: int

    @abstractmethod
    def forward(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        """(M, in_features), one step an image of ``batch`` -> (B, out_features)."""


class Recurrence(Aggregation):
    """LSTM (Hochreiter and Schmidhuber 1997) or GRU (Cho et al. 2014) from the oldest step to the newest.

    Packed by length: padding is never seen. Both ways, the end states of both are joined.
    """

    def __init__(
        self, in_features: int, hidden: int, *, cell: type[nn.LSTM] | type[nn.GRU], both_ways: bool = False
    ) -> None:
        super().__init__()
        self.cell = cell(in_features, hidden, batch_first=True, bidirectional=both_ways)
        self.out_features = hidden * (2 if both_ways else 1)

    def forward(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        lengths = batch.lengths
        packed = pack_padded_sequence(
            padded(steps, batch), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        state = self.cell(packed)[1]
        last: Tensor = state[0] if isinstance(state, tuple) else state
        return last.transpose(0, 1).flatten(1)


class Attention(Aggregation):
    """One pre-norm transformer layer (Vaswani et al. 2017), read off a token of its own.

    A step's place is how long ago its exam was, not its index: the order of images of one exam says nothing,
    and a gap of five years is not one of one year.
    """

    def __init__(self, in_features: int, hidden: int, *, heads: int = 4) -> None:
        super().__init__()
        if hidden % heads:
            raise ValueError(f"a transformer's hidden units must be divisible by {heads}; got {hidden}")
        self.embed = nn.Linear(in_features, hidden)
        self.age = nn.Linear(2 * len(_PERIODS), hidden, bias=False)
        self.token = nn.Parameter(torch.zeros(hidden))
        self.layer = nn.TransformerEncoderLayer(
            hidden, heads, dim_feedforward=2 * hidden, dropout=0.0, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(hidden)
        self.out_features = hidden

    def forward(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        ages = batch.context[:, _YEARS : _YEARS + 1].to(steps.dtype) * 10
        angles = ages * steps.new_tensor([2 * torch.pi / period for period in _PERIODS])
        # Cosine less one: the newest exam, and one whose date is unknown, is left where it is.
        embedded = self.embed(steps) + self.age(torch.cat([angles.sin(), angles.cos() - 1], dim=1))
        tokens = self.token.expand(batch.n_sequences, 1, -1)
        line = torch.cat([tokens, padded(embedded, batch)], dim=1)
        places = torch.arange(line.shape[1], device=line.device)
        beyond = places > batch.lengths[:, None]
        read: Tensor = self.norm(self.layer(line, src_key_padding_mask=beyond)[:, 0])
        return read


_PERIODS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Years; an exam is placed by sine and cosine of its age at each."""


class Mean(Aggregation):
    """The mean of the steps after one layer: every image counts alike, in any order."""

    def __init__(self, in_features: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Linear(in_features, hidden)
        self.out_features = hidden

    def forward(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        embedded = torch.relu(self.embed(steps))
        total = embedded.new_zeros((batch.n_sequences, self.out_features))
        return total.index_add(0, batch.sequence, embedded) / batch.lengths[:, None].to(embedded.dtype)


class Newest(Aggregation):
    """The last step as it is: the newest image alone."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        return steps[batch.lengths.cumsum(0) - 1]


AGGREGATIONS: dict[str, Callable[[int, int], Aggregation]] = {
    "lstm": lambda width, hidden: Recurrence(width, hidden, cell=nn.LSTM),
    "gru": lambda width, hidden: Recurrence(width, hidden, cell=nn.GRU),
    "bilstm": lambda width, hidden: Recurrence(width, hidden, cell=nn.LSTM, both_ways=True),
    "transformer": Attention,
    "mean": Mean,
}


def create_aggregation(name: str | None, in_features: int, hidden: int) -> Aggregation:
    """The aggregation of a name; None is the newest image alone.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name is None:
        return Newest(in_features)
    if name not in AGGREGATIONS:
        raise UnknownNameError("recurrence", name, AGGREGATIONS)
    return AGGREGATIONS[name](in_features, hidden)


def mean_of_newest(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """The mean step (B, F) of each sequence's newest exam, of steps (M, F)."""
    return _mean(steps, _newest(steps, batch), batch)


def spread_of_newest(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """How far the steps (M, F) of each sequence's newest exam are from their mean, on average: (B, F).

    What is in one view alone is tissues that lie over each other, more often than a lesion. 0 for one view.
    """
    newest = _newest(steps, batch)
    off = (steps - _mean(steps, newest, batch)[batch.sequence]).abs()
    return _mean(off, newest, batch)


def change_since_priors(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """The mean step of each sequence's newest exam less that of its priors, (B, F); 0 without any."""
    newest = _newest(steps, batch)
    older = 1 - newest
    there = steps.new_zeros(batch.n_sequences).index_add(0, batch.sequence, older) > 0
    change = _mean(steps, newest, batch) - _mean(steps, older, batch)
    return torch.where(there[:, None], change, torch.zeros_like(change))


def _newest(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """(M,) 1 for an image of its sequence's newest exam, which the last one always is, else 0."""
    newest = 1 - batch.context[:, _IS_PRIOR].to(steps.dtype)
    last = torch.zeros_like(newest)
    last[batch.lengths.cumsum(0) - 1] = 1
    return torch.maximum(newest, last)


def _mean(steps: Tensor, weight: Tensor, batch: SequenceBatch) -> Tensor:
    """The weighted mean step of each sequence, (B, F); 0 where nothing weighs."""
    total = steps.new_zeros((batch.n_sequences, steps.shape[1]))
    total = total.index_add(0, batch.sequence, steps * weight[:, None])
    count = steps.new_zeros(batch.n_sequences).index_add(0, batch.sequence, weight)
    return total / count.clamp(min=1e-6)[:, None]


def padded(steps: Tensor, batch: SequenceBatch) -> Tensor:
    """(M, F) -> (B, longest, F), each sequence from the left, zeros behind it."""
    lengths = batch.lengths
    first = lengths.cumsum(0) - lengths
    place = torch.arange(len(steps), device=steps.device) - first[batch.sequence]
    lines = steps.new_zeros((batch.n_sequences, int(lengths.max()), steps.shape[1]))
    return lines.index_put((batch.sequence, place), steps)
