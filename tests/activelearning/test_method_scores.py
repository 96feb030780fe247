import numpy as np
import pytest

from breastlabel.activelearning import ACQUISITIONS, PoolOutputs, select
from breastlabel.activelearning.method_scores import (
    METHODS,
    REVISIT,
    check_methods,
    method_scores,
    uses_labelled_features,
)
from breastlabel.activelearning.scores import entropy
from breastlabel.errors import UnknownNameError

ACQUIRED = [method for method in METHODS if method != REVISIT]
SINGLE = ("entropy", "margin", "least-confidence", "bald", "variation-ratio", "mask-disagreement")
SINGLE += ("expected-edit", "entropy-and-edit", "bald-and-mask")


def test_every_acquisition_but_chance_is_a_method():
    assert set(METHODS) == set(ACQUISITIONS) - {"random"} | {REVISIT}


def test_a_score_of_single_images_is_written_as_it_is(pool):
    scores = method_scores("entropy", pool=pool, version="v")
    expected = entropy(pool.class_probabilities)
    assert scores == dict(zip(pool.image_ids, expected.tolist(), strict=True))


@pytest.mark.parametrize("method", ACQUIRED)
def test_the_highest_score_is_the_image_that_is_chosen_first(pool, method):
    scores = method_scores(method, pool=pool, version="v", batch=8, round_index=2)
    assert len(scores) == (len(pool) if method in SINGLE else 8)
    assert all(np.isfinite(value) for value in scores.values())
    first = sorted(scores, key=scores.__getitem__, reverse=True)[:8]
    if method in SINGLE:
        chosen = select(method, pool, n=8, rng=np.random.default_rng(0))
        assert first == [pool.image_ids[i] for i in chosen]
    else:
        assert [scores[image_id] for image_id in first] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_what_is_drawn_depends_on_version_and_round_and_nothing_else(pool):
    def drawn(**other):
        return method_scores("clasp", **{"pool": pool, "version": "v", "batch": 8, **other})

    assert drawn() == drawn()
    assert drawn() != drawn(version="w")
    assert drawn() != drawn(round_index=9)
    # After the last round the schedule stays where it is.
    assert drawn(round_index=9) == drawn(round_index=99)


def test_sets_keep_away_from_what_is_labelled(pool):
    first = method_scores("core-set", pool=pool, version="v", batch=1)
    (taken,) = first
    features = pool.features[[pool.image_ids.index(taken)]]
    again = method_scores("core-set", pool=pool, version="v", batch=29, labelled_features=features)
    assert taken not in again
    assert uses_labelled_features(["entropy", "core-set"])
    assert not uses_labelled_features(["entropy", "badge", REVISIT])


@pytest.mark.parametrize("method", ACQUIRED)
def test_without_a_model_every_method_is_diverse(four_clusters, method):
    features, which = four_clusters
    pool = PoolOutputs(image_ids=[f"{i:02d}" for i in range(40)], features=features)
    scores = method_scores(method, pool=pool, version="cold-start", batch=4)
    assert {which[int(image_id)] for image_id in scores} == {0, 1, 2, 3}
    if method != "k-means":
        assert scores == method_scores("core-set", pool=pool, version="cold-start", batch=4)


def test_small_pools_are_chosen_as_a_whole(pool):
    small = pool.take([3, 1])
    assert sorted(method_scores("badge", pool=small, version="v").values()) == [1, 2]


def test_methods_are_checked():
    assert check_methods(None) == METHODS
    assert check_methods(["bald", "entropy", "bald"]) == ("bald", "entropy")
    with pytest.raises(UnknownNameError, match=r"scoring method must be one of badge, .*; got 'random'"):
        check_methods(["random"])
