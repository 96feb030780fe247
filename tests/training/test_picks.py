from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from breastlabel.errors import StudiesError
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import TrainingArrays
from breastlabel.training.picks import chunks, pick, with_views_dropped

Breasts = Callable[..., TrainingArrays]
Sequences = Callable[..., SequenceNetwork]


def test_parts_are_small_and_together_the_whole(breasts: Breasts, tiny_sequences: Sequences) -> None:
    arrays = breasts(6)
    whole = pick(tiny_sequences(), arrays, torch.tensor([5, 0, 3, 1]))
    parts = chunks(whole, 4)
    # Of 3, 2, 3 and 3 images.
    assert [len(part.images) for part in parts] == [3, 2, 3, 3]
    assert torch.cat([part.images for part in parts]).tolist() == whole.images.tolist()
    assert torch.cat([part.cases for part in parts]).tolist() == whole.cases.tolist()
    for part in parts:
        assert part.members is not None
        assert part.members.sequence[0] == 0
    assert [len(part.cases) for part in chunks(whole, 5)] == [2, 1, 1]
    assert len(chunks(whole, 1)) == 4
    assert chunks(whole, None) == [whole]


def test_images_alone_are_parted_too(
    discs: Callable[..., TrainingArrays], tiny_network: Callable[..., HybridNetwork]
) -> None:
    parts = chunks(pick(tiny_network(), discs(5), torch.tensor([4, 3, 2, 1, 0])), 2)
    assert [part.images.tolist() for part in parts] == [[4, 3], [2, 1], [0]]


def test_a_network_for_one_image_refuses_breasts(
    breasts: Breasts, tiny_network: Callable[..., HybridNetwork]
) -> None:
    with pytest.raises(StudiesError, match="UltrasoundHybrid takes one image"):
        pick(tiny_network(), breasts(2), torch.tensor([0]))


def test_dropping_views_leaves_one_of_each_newest_exam(breasts: Breasts, tiny_sequences: Sequences) -> None:
    arrays = breasts(6)
    whole = pick(tiny_sequences(), arrays, torch.arange(6))
    seen: set[tuple[int, ...]] = set()
    for seed in range(60):
        left = with_views_dropped(whole, 0.6, torch.Generator().manual_seed(seed))
        members = left.members
        assert members is not None
        assert np.unique(members.sequence[members.newest]).tolist() == [0, 1, 2, 3, 4, 5]
        assert left.images.tolist() == members.images.tolist()
        seen.update(map(tuple, np.split(members.images, np.flatnonzero(np.diff(members.sequence)) + 1)))
    # Of a breast of two views and a prior every subset that can be comes up: the prior never alone.
    prior, *views = arrays.cases.images[arrays.cases.offsets[1] : arrays.cases.offsets[2]]
    wanted = {(v,) for v in views} | {(prior, v) for v in views} | {tuple(views), (prior, *views)}
    assert wanted <= seen
    assert (prior,) not in seen - {(v,) for v in arrays.cases.images[:2]}


def test_no_view_is_dropped_at_probability_zero_and_all_but_one_at_one(
    breasts: Breasts, tiny_sequences: Sequences
) -> None:
    whole = pick(tiny_sequences(), breasts(4), torch.arange(4))
    generator = torch.Generator().manual_seed(0)
    assert with_views_dropped(whole, 0.0, generator) is whole
    left = with_views_dropped(whole, 1.0, generator)
    assert left.members is not None
    assert left.members.newest.all()
    assert left.members.sequence.tolist() == [0, 1, 2, 3]
