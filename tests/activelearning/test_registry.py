import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.activelearning import (
    ACQUISITIONS,
    Need,
    PoolError,
    PoolOutputs,
    create_acquisition,
    select,
)
from breastlabel.activelearning.coreset import k_center_greedy
from breastlabel.errors import UnknownNameError

NAMES = sorted(ACQUISITIONS)


def only(pool, needs):
    return PoolOutputs(image_ids=pool.image_ids, **{need.value: need.of(pool) for need in needs})


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), n_pool=st.integers(0, 20), data=st.data())
@settings(max_examples=15, deadline=None)
def test_n_different_images_whatever_the_order_of_the_pool(make_pool, name, seed, n_pool, data):
    pool = make_pool(seed, n_pool)
    n = data.draw(st.integers(0, n_pool))
    shuffled = np.random.default_rng(seed + 1).permutation(n_pool)
    now = {"n": n, "labelled_features": np.zeros((1, 4)), "round_index": 1, "n_rounds": 4}
    picked = select(name, pool, rng=np.random.default_rng(seed), **now)
    again = select(name, pool.take(shuffled), rng=np.random.default_rng(seed), **now)
    assert len(picked) == len(set(picked)) == n
    assert all(type(i) is int and 0 <= i < n_pool for i in picked)
    assert [int(shuffled[i]) for i in again] == picked


@pytest.mark.parametrize("name", NAMES)
def test_what_it_needs_is_enough_and_less_is_not(name, pool):
    needs = ACQUISITIONS[name].needs
    assert len(select(name, only(pool, needs), n=5, rng=np.random.default_rng(0))) == 5
    for missing in needs:
        # One need that is met stands for a model, else it would be a cold start.
        rest = (needs - {missing}) | ({Need.PASSES, Need.MASK_SCORES} - {missing})
        with pytest.raises(
            PoolError, match=f"acquisition '{name}' needs {missing.value} of the pool; got none"
        ):
            select(name, only(pool, rest), n=5, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"random"}))
@pytest.mark.parametrize("seed", [0, 1])
def test_a_cold_start_is_diversity(name, seed, four_clusters):
    features, which = four_clusters
    pool = PoolOutputs(image_ids=[f"{i:02d}" for i in range(40)], features=features)
    picked = select(name, pool, n=4, rng=np.random.default_rng(seed))
    assert set(which[picked]) == {0, 1, 2, 3}
    if name != "k-means":
        assert picked == k_center_greedy(features, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_orders_as_the_choice_does(name, pool):
    acquisition = ACQUISITIONS[name]
    scores = acquisition.score(pool)
    if scores is None or "beta" in vars(acquisition):
        return
    picked = select(name, pool, n=30, rng=np.random.default_rng(0))
    assert np.all(np.diff(scores[picked]) <= 0)


@pytest.mark.parametrize("name", NAMES)
def test_more_than_the_pool_is_refused(name, pool, rng):
    for n in (31, -1):
        with pytest.raises(PoolError, match=f"n must be 0 to the 30 images of the pool; got {n}"):
            select(name, pool, n=n, rng=rng)


def test_equals_go_by_their_id(rng):
    pool = PoolOutputs(image_ids=["c", "a", "b"], class_probabilities=np.full((3, 2), 0.5))
    assert select("entropy", pool, n=3, rng=rng) == [1, 2, 0]


def test_clasp_follows_the_rounds(pool):
    def images_seen(index):
        now = {"round_index": index, "n_rounds": 8}
        return set().union(
            *(select("clasp", pool, n=6, rng=np.random.default_rng(s), **now) for s in range(20))
        )

    assert len(images_seen(7)) < len(images_seen(0))


def test_options_replace_the_usual_ones(pool):
    greedy = create_acquisition("power-bald", beta=np.inf)
    top = select("bald", pool, n=6, rng=np.random.default_rng(1))
    assert select(greedy, pool, n=6, rng=np.random.default_rng(0)) == top
    assert create_acquisition("power-bald").beta == 1.0


def test_unknown_names_are_answered_with_the_valid_ones(pool, rng):
    with pytest.raises(UnknownNameError, match=r"acquisition must be one of badge, bald.*; got 'bold'"):
        select("bold", pool, n=1, rng=rng)
    with pytest.raises(UnknownNameError, match="option of acquisition 'clasp' must be one of background"):
        create_acquisition("clasp", beta=1.0)
    with pytest.raises(UnknownNameError, match="must be one of none; got 'beta'"):
        create_acquisition("badge", beta=1.0)


@pytest.mark.parametrize(("index", "count"), [(-1, 3), (3, 3), (0, 0)])
def test_a_round_outside_the_loop_is_refused(index, count, pool, rng):
    with pytest.raises(PoolError, match=f"the round must be 0 to {count - 1} of {count}; got {index}"):
        select("entropy", pool, n=1, rng=rng, round_index=index, n_rounds=count)
