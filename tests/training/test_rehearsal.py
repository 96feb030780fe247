"""How new labels and old ones share a training's steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from breastlabel.training.rehearsal import MixedBatches, ShuffledBatches


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shuffled_batches_hold_every_image_once() -> None:
    batches = ShuffledBatches(10, 4)(_generator())
    assert [len(b) for b in batches] == [4, 4, 2]
    assert sorted(torch.cat(batches).tolist()) == list(range(10))


def test_a_last_batch_of_one_image_is_left_out() -> None:
    assert [len(b) for b in ShuffledBatches(9, 4)(_generator())] == [4, 4]


def test_few_new_labels_make_up_half_of_each_step() -> None:
    new = np.zeros(100, bool)
    new[:5] = True
    batches = MixedBatches(new, size=8, steps=10)(_generator())
    assert len(batches) == 10
    for batch in batches:
        assert int((batch < 5).sum()) == 4
        assert len(batch) == 8
    counts = np.bincount(torch.cat(batches).numpy(), minlength=100)
    # 40 drawings of five new labels, 40 of 95 old ones: within a kind, none again before all others were.
    assert set(counts[:5]) == {8}
    assert set(counts[5:]) <= {0, 1}


def test_new_labels_that_are_the_greater_part_keep_their_share() -> None:
    new = np.arange(20) < 15
    batches = MixedBatches(new, size=8, steps=10)(_generator())
    assert int((torch.cat(batches) < 15).sum()) == 60


def test_a_share_that_no_step_can_have_is_held_over_the_epoch() -> None:
    new = np.arange(40) < 1
    batches = MixedBatches(new, size=4, steps=10, share=0.3)(_generator())
    assert sum(int((b == 0).sum()) for b in batches) == 12
    assert {int((b == 0).sum()) for b in batches} == {1, 2}


@pytest.mark.parametrize("new", [True, False])
def test_labels_of_one_kind_are_repeated_evenly(new: bool) -> None:
    batches = MixedBatches(np.full(6, new), size=4, steps=9)(_generator())
    assert np.bincount(torch.cat(batches).numpy()).tolist() == [6] * 6


def test_fewer_images_than_a_step_has_room_for_make_smaller_steps() -> None:
    assert [len(b) for b in MixedBatches(np.ones(3, bool), size=8, steps=2)(_generator())] == [3, 3]


def test_the_same_generator_draws_the_same_batches() -> None:
    mixed = MixedBatches(np.arange(30) < 7, size=8, steps=5)
    first, again, other = mixed(_generator(1)), mixed(_generator(1)), mixed(_generator(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
