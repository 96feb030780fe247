import time

import numpy as np
import pytest

from breastlabel.evaluation.bootstrap import Bootstrap, paired_bootstrap, weighted_mean


def test_images_of_one_patient_are_drawn_together():
    weights = Bootstrap(["a", "a", "b", "c"]).weights
    assert weights.shape == (1000, 4)
    assert (weights[:, 0] == weights[:, 1]).all()
    # As many patients as there are, with replacement.
    assert (weights[:, 1:].sum(axis=1) == 3).all()


def test_the_same_seed_draws_the_same():
    groups = list(range(20))
    assert (Bootstrap(groups, seed=4).weights == Bootstrap(groups, seed=4).weights).all()
    assert (Bootstrap(groups, seed=4).weights != Bootstrap(groups, seed=5).weights).any()


def test_mean_over_known_values_only():
    assert weighted_mean(np.array([1.0, np.nan, 4.0]), np.array([[2.0, 5.0, 1.0]])) == pytest.approx(2)


def test_undefined_is_none():
    bootstrap = Bootstrap(["a", "b"])
    assert bootstrap.interval(lambda w: weighted_mean(np.full(2, np.nan), w)) is None
    assert Bootstrap([]).interval(lambda w: weighted_mean(np.zeros(0), w)) is None


def test_resamples_that_leave_it_undefined_are_left_out():
    values = np.array([0.5, *[np.nan] * 9])
    interval = Bootstrap(range(10)).interval(lambda w: weighted_mean(values, w))
    assert interval == {"mean": 0.5, "ci95": [0.5, 0.5]}


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for trial in range(200):
        values = rng.normal(0.8, 0.1, 50)
        interval = Bootstrap(range(50), resamples=300, seed=trial).interval(
            lambda w, values=values: weighted_mean(values, w)
        )
        low, high = interval["ci95"]
        covered.append(low <= 0.8 <= high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_width_agrees_with_the_standard_error():
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = Bootstrap(range(400)).interval(lambda w: weighted_mean(values, w))["ci95"]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_clusters_widen_the_interval():
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 40), 5)

    def width(groups):
        low, high = Bootstrap(groups).interval(lambda w: weighted_mean(values, w))["ci95"]
        return high - low

    assert width(np.repeat(range(40), 5)) > 1.7 * width(range(200))


def test_paired_difference_is_tighter_than_either_mean():
    rng = np.random.default_rng(0)
    first = rng.random(60)
    second = first - 0.05
    difference = paired_bootstrap(first, second, list(range(60)))
    assert difference.mean == pytest.approx(0.05)
    assert difference.high - difference.low < 1e-9


def test_paired_difference_needs_the_same_images():
    with pytest.raises(ValueError, match="same images are required for both models; got 2, 3"):
        paired_bootstrap(np.zeros(2), np.zeros(3), [1, 2])


def test_400_images_take_well_under_three_seconds():
    from breastlabel.evaluation.classification import auc

    truth, score = np.arange(400) % 3 == 0, np.random.default_rng(0).random(400)
    started = time.perf_counter()
    bootstrap = Bootstrap(range(400))
    for _ in range(30):
        bootstrap.interval(lambda w: auc(truth, score, w))
    assert time.perf_counter() - started < 3
