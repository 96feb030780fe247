import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.combinations import diverse_among_best, rank_weighted_sum
from breastlabel.activelearning.coreset import k_center_greedy
from breastlabel.activelearning.stochastic import top_n


def test_rank_sum_by_hand():
    # Ranks 1 2 3 4 and 4 1 2.5 2.5, less a half, over four; weights 3 to 1.
    values = rank_weighted_sum([np.array([1, 2, 30, 400]), np.array([9, 1, 5, 5])], [3, 1])
    np.testing.assert_allclose(values, [(3 * 0.5 + 3.5) / 16, (4.5 + 0.5) / 16, 9.5 / 16, 12.5 / 16])


@given(hnp.arrays(np.float64, 8, elements=st.integers(-5, 5)))
@settings(max_examples=30, deadline=None)
def test_one_score_keeps_its_order_and_scale_does_not_matter(scores):
    assert top_n(rank_weighted_sum([scores], [2.0]), 8) == top_n(scores, 8)
    other = np.arange(8.0)
    np.testing.assert_allclose(
        rank_weighted_sum([scores, other], [1, 1]), rank_weighted_sum([scores * 1000, other], [1, 1])
    )


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
def test_what_are_no_weights_is_refused(weights):
    with pytest.raises(PoolError, match="weights must be 2 numbers of zero or more"):
        rank_weighted_sum([np.arange(3), np.arange(3)], weights)


def test_diversity_only_among_the_best(four_clusters):
    features, which = four_clusters
    # The lone image of cluster 3 is the least useful of all, so it stays out of four times two.
    useful = np.where(which == 3, 0.0, np.where(which == 0, 0.5, 1.0))
    picked = diverse_among_best(useful, features, 2)
    assert set(which[picked]) == {1, 2}


def test_the_factor_goes_from_the_top_to_the_core_set(four_clusters, rng):
    features, _ = four_clusters
    scores = rng.uniform(size=len(features))
    assert sorted(diverse_among_best(scores, features, 5, factor=1.0)) == sorted(top_n(scores, 5))
    labelled = features[:3]
    everything = diverse_among_best(scores, features, 5, factor=np.inf, labelled=labelled)
    assert sorted(everything) == sorted(k_center_greedy(features, 5, labelled=labelled))
    with pytest.raises(PoolError, match=r"factor must be 1 or more; got 0.5"):
        diverse_among_best(scores, features, 5, factor=0.5)
