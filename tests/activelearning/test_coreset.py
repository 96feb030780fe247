from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.coreset import k_center_greedy


def radius(features, centres):
    return np.sqrt(((features[:, None] - centres[None]) ** 2).sum(-1).min(1)).max()


def test_each_cluster_once_before_any_twice(four_clusters):
    features, which = four_clusters
    assert set(which[k_center_greedy(features, 4)]) == {0, 1, 2, 3}


def test_clusters_that_are_labelled_come_last(four_clusters):
    features, which = four_clusters
    labelled = np.array([[100.0, 0.0], [0.0, 0.0]])
    assert set(which[k_center_greedy(features, 2, labelled=labelled)]) == {2, 3}


def test_on_a_line_by_hand():
    features = np.array([[0.0], [1.0], [5.0], [9.0], [10.0]])
    # The mean is 5; then the ends, the first of equals first; then 1 and 9, each 1 from an end.
    assert k_center_greedy(features, 5) == [2, 0, 4, 1, 3]
    assert k_center_greedy(features, 2, labelled=np.array([[10.0]])) == [0, 2]


def test_duplicates_are_taken_once_each():
    assert sorted(k_center_greedy(np.zeros((4, 2)), 4)) == [0, 1, 2, 3]


def test_no_labelled_rows_are_a_cold_start(four_clusters):
    features, _ = four_clusters
    assert k_center_greedy(features, 5, labelled=np.zeros((0, 2))) == k_center_greedy(features, 5)


@given(st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_the_radius_is_within_twice_the_best(seed, n):
    # Sener and Savarese, section 4.2, against all choices of n of nine points.
    features = np.random.default_rng(seed).normal(size=(9, 2))
    best = min(radius(features, features[list(c)]) for c in combinations(range(9), n))
    assert radius(features, features[k_center_greedy(features, n)]) <= 2 * best + 1e-9


def test_features_of_another_model_are_refused():
    with pytest.raises(PoolError, match="must have the pool's 2 features; got 3: compute both with the same"):
        k_center_greedy(np.zeros((4, 2)), 1, labelled=np.zeros((1, 3)))
