import numpy as np
import pytest
from scipy.stats import chisquare

from breastlabel.activelearning.kmeanspp import kmeans_plus_plus


def test_chances_are_proportional_to_the_squared_distance():
    features = np.array([[1.0], [2.0], [3.0]])
    labelled = np.zeros((1, 1))
    rng = np.random.default_rng(3)
    drawn = [kmeans_plus_plus(features, 1, rng=rng, labelled=labelled)[0] for _ in range(1400)]
    counts = np.bincount(drawn, minlength=3)
    assert chisquare(counts, np.array([1, 4, 9]) * 100).pvalue > 0.01


def test_begins_at_the_most_ordinary_image(rng):
    features = np.array([[0.0], [4.0], [10.0]])
    assert kmeans_plus_plus(features, 3, rng=rng)[0] == 1


def test_covers_far_clusters(four_clusters, rng):
    features, which = four_clusters
    assert set(which[kmeans_plus_plus(features, 4, rng=rng)]) == {0, 1, 2, 3}


@pytest.mark.parametrize("features", [np.zeros((5, 2)), np.repeat([[0.0], [1.0]], [4, 1], axis=0)])
def test_duplicates_are_taken_once_each(features, rng):
    assert sorted(kmeans_plus_plus(features, 5, rng=rng)) == [0, 1, 2, 3, 4]
