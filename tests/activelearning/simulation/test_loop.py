"""The replay on eighteen images: what it trains, what it may know, and that it goes on."""

import dataclasses
import json

import numpy as np
import pytest

from breastlabel.activelearning.registry import ACQUISITIONS


def chosen(files, seed, strategy):
    return [
        json.loads(files[f"seed-{seed}/{strategy}/choice-{number}.json"])["image_ids"] for number in (1, 2)
    ]


def test_round_zero_is_trained_once_a_seed_and_shared(replay, learner, files):
    assert replay().run(["random", "badge"], [0, 1]) == [0, 1]
    assert len(learner.fits) == 2 * (1 + 2 + 2 * 2)
    assert sum(len(ids) == 4 for _, _, ids in learner.fits) == 2
    names = files()
    assert sum("/initial/" in name for name in names) == 2
    assert "seed-0/badge/answers-0.json" not in names


def test_labels_grow_by_the_batch_and_stay(replay, learner):
    replay().run(["random", "entropy"], [0])
    rounds = [set(ids) for _, epochs, ids in learner.fits if epochs == 1 and len(ids) < 18]
    assert [len(ids) for ids in rounds] == [4, 7, 10, 7, 10]
    initial, first, second, other_first, other_second = rounds
    assert initial < first < second
    assert initial < other_first < other_second


def test_the_reference_learns_from_every_label_twice_as_long(replay, learner, train):
    replay().run(["random"], [0])
    assert [(e, len(ids)) for _, e, ids in learner.fits if len(ids) == len(train)] == [(1, 18), (2, 18)]


def test_every_acquisition_can_be_replayed(replay, files):
    assert replay().run(list(ACQUISITIONS), [0]) == [0]
    for name in ACQUISITIONS:
        first, second = chosen(files(), 0, name)
        assert len({*first, *second}) == 6


def test_labels_that_were_not_revealed_change_nothing(replay, files, train):
    """Garbage for labels: other classes and masks for every image but the four of round 0."""
    replay("honest").run(["badge", "expected-edit"], [0])
    honest = files("honest")
    for strategy in ("badge", "expected-edit"):
        first, second = chosen(honest, 0, strategy)
        # What is told last must not be known when it is chosen; what is never told must not matter at all.
        told = {"round 1": first, "round 2": [*first, *second]}
        for after, ids in told.items():
            known = np.isin(train.ids, [*ids, *_initial(train)])
            poisoned = dataclasses.replace(
                train,
                labels=np.where(known, train.labels, (train.labels + 1) % 3),
                masks=np.where(known[:, None, None], train.masks, 1 - train.masks).astype(np.uint8),
            )
            folder = f"poisoned-{strategy}-{after}"
            replay(folder, train=poisoned).run([strategy], [0])
            found = files(folder)
            last = 1 if after == "round 1" else 2
            assert chosen(found, 0, strategy) == [first, second]
            for number in range(1, last + 1):
                name = f"seed-0/{strategy}/answers-{number}.json"
                assert found[name] == honest[name]
            assert found["seed-0/reference/answers-0.json"] != honest["seed-0/reference/answers-0.json"]


def test_labels_of_the_judging_splits_are_not_learned_from(replay, files, judges):
    replay("honest").run(["expected-edit"], [0])
    poisoned = {
        split: dataclasses.replace(arrays, masks=1 - arrays.masks, labels=(arrays.labels + 1) % 3)
        for split, arrays in judges.items()
    }
    replay("poisoned", judges=poisoned).run(["expected-edit"], [0])
    assert chosen(files("poisoned"), 0, "expected-edit") == chosen(files("honest"), 0, "expected-edit")


@pytest.mark.parametrize("after", [1, 2, 4, 6])
def test_a_replay_that_was_stopped_goes_on_to_the_same_results(replay, learner, files, after):
    replay("whole").run(["random", "core-set"], [0])
    in_one_go = len(learner.fits)

    def stop(what, done, total):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay("parts", progress=stop).run(["random", "core-set"], [0])
    learner.fits.clear()
    replay("parts").run(["random", "core-set"], [0])
    assert files("parts") == files("whole")
    # Nothing is judged again; networks whose choice was still to come (this round's, round 0's) are trained
    # again, as their weights are not kept.
    assert len(learner.fits) <= in_one_go - after + 2


def test_strategies_and_seeds_may_be_added(replay, learner, files):
    replay("grown").run(["random"], [0])
    replay("grown").run(["random", "entropy"], [0, 1])
    replay("whole").run(["random", "entropy"], [0, 1])
    assert files("grown") == files("whole")


def test_when_the_time_is_up_no_training_begins(replay, learner):
    assert replay(time_limit=-1.0).run(["random"], [0]) == []
    assert learner.fits == []


def test_progress_counts_the_trainings(replay):
    seen = []
    replay(progress=lambda what, done, total: seen.append((done, total))).run(["random"], [0, 1])
    assert seen == [(i, 10) for i in range(1, 11)]


def _initial(train):
    """What seed 0 is given in round 0, as the replay draws it."""
    return train.ids[np.random.default_rng([0, 0]).permutation(len(train))[:4]]
