"""Curves made by hand, of which everything can be counted."""

import numpy as np
import pytest
from scipy import stats

from breastlabel.activelearning.simulation.statistics import (
    area_under_curve,
    compare,
    first_reached,
    holm,
    labels_saved,
    seed_interval,
)

LABELS = [10, 20, 30, 40]


def test_interval_of_the_mean_is_students():
    interval = seed_interval([0.1, 0.2, 0.6])
    low, high = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem([0.1, 0.2, 0.6]))
    assert interval["mean"] == pytest.approx(0.3)
    assert interval["ci95"] == pytest.approx([low, high])
    assert seed_interval([0.4]) == {"mean": 0.4, "ci95": None}


def test_area_is_the_mean_height():
    np.testing.assert_allclose(area_under_curve(LABELS, np.array([[1, 1, 1, 1], [0, 1, 2, 3]])), [1, 1.5])
    np.testing.assert_allclose(area_under_curve([10, 20, 40], np.array([[0.0, 1.0, 1.0]])), [(5 + 20) / 30])
    np.testing.assert_allclose(area_under_curve([10], np.array([[0.7]])), [0.7])


def test_comparison_is_paired():
    """Seeds differ by far more than strategies do, and the difference is seen all the same."""
    random, gain = np.array([0.2, 0.5, 0.8]), np.array([0.010, 0.011, 0.012])
    found = compare(random + gain, random)
    assert found["mean"] == pytest.approx(0.011)
    assert found["p"] == pytest.approx(stats.ttest_rel(random + gain, random).pvalue)
    assert found["p"] < 0.01


def test_comparison_without_spread_or_with_one_seed():
    assert compare(np.array([0.5, 0.5]), np.array([0.5, 0.5]))["p"] == 1.0
    assert compare(np.array([0.75, 0.75]), np.array([0.5, 0.5]))["p"] == 0.0
    assert compare(np.array([0.75]), np.array([0.5])) == {"mean": 0.25, "ci95": None, "p": None}


def test_holm_by_hand():
    """Sorted: 0.01 * 4, 0.02 * 3, 0.04 * 2 and 0.03 * ... never below the one before, never above 1."""
    assert holm([0.04, 0.01, 0.9, 0.02]) == pytest.approx([0.08, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([None, 0.02]) == [None, 0.02]


@pytest.mark.parametrize(
    ("curve", "target", "labels"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.25, 25),
        ([0.1, 0.2, 0.3, 0.4], 0.1, 10),
        ([0.1, 0.2, 0.3, 0.4], 0.4, 40),
        ([0.1, 0.2, 0.3, 0.4], 0.41, None),
        # One lucky round: 0.5 and 0.1 are levelled to 0.3, so 0.4 is reached on the way to the last.
        ([0.0, 0.5, 0.1, 0.5], 0.4, 35),
    ],
)
def test_first_reached(curve, target, labels):
    found = first_reached(LABELS, np.array(curve), target)
    assert found == (labels if labels is None else pytest.approx(labels))


def test_labels_saved_on_straight_lines():
    """Twice as steep: random's 0.4 at 40 labels is there at 25."""
    random = np.array([[0.1, 0.2, 0.3, 0.4]] * 3)
    steep = np.array([[0.1, 0.3, 0.5, 0.7]] * 3)
    saved = labels_saved(LABELS, steep, random)
    assert saved["target"] == pytest.approx(0.4)
    assert saved["random_labels"] == pytest.approx(40)
    assert saved["labels"] == pytest.approx(15)
    assert saved["ci95"] == pytest.approx([15, 15])


def test_labels_lost_where_random_was_there_before():
    random = np.array([[0.1, 0.4, 0.4, 0.4]] * 2)
    slow = np.array([[0.1, 0.2, 0.3, 0.4]] * 2)
    assert labels_saved(LABELS, slow, random)["labels"] == pytest.approx(-20)


def test_never_reached_is_none_and_so_is_the_end_that_it_spoils():
    random = np.array([[0.1, 0.2, 0.3, 0.4]] * 2)
    of_one_seed = np.array([[0.1, 0.1, 0.1, 0.1], [0.1, 0.4, 0.8, 0.9]])
    saved = labels_saved(LABELS, of_one_seed, random)
    assert saved["labels"] == pytest.approx(first := 40 - (20 + 10 * (0.4 - 0.25) / (0.45 - 0.25)))
    assert saved["ci95"][0] is None
    assert saved["ci95"][1] == pytest.approx(20)
    assert first > 0
    assert labels_saved(LABELS, np.full((2, 4), 0.1), random)["labels"] is None


def test_one_seed_has_no_interval():
    random = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert labels_saved(LABELS, random + 0.1, random)["ci95"] is None


def test_a_strategy_that_is_random_saves_nothing():
    random = np.random.default_rng(0).normal(size=(7, 4)).cumsum(axis=1)
    saved = labels_saved(LABELS, random, random)
    assert saved["labels"] == 0.0
    assert saved["ci95"] == [0.0, 0.0]
