import numpy as np
import pytest
from scipy.stats import chisquare

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.stochastic import Perturbation, gumbel_top_n, perturbation_keys, top_n

SCORES = np.array([0.2, 0.9, 0.5, 0.7, 0.1, 0.4])


def draws(perturbation, beta, n=1, times=3000, scores=SCORES):
    rng = np.random.default_rng(11)
    keys = perturbation_keys(scores, perturbation)
    return np.array([gumbel_top_n(keys, n, beta=beta, rng=rng) for _ in range(times)])


def test_top_n_is_best_first_and_equals_go_by_place():
    assert top_n(SCORES, 3) == [1, 3, 2]
    assert top_n(np.array([1.0, 2.0, 2.0, 1.0]), 3) == [1, 2, 0]


@pytest.mark.parametrize("perturbation", Perturbation)
def test_beta_to_infinity_is_the_top(perturbation):
    keys = perturbation_keys(SCORES, perturbation)
    for beta in (1e6, np.inf):
        for seed in range(20):
            assert gumbel_top_n(keys, 4, beta=beta, rng=np.random.default_rng(seed)) == top_n(SCORES, 4)


@pytest.mark.parametrize("perturbation", Perturbation)
def test_beta_zero_is_uniform(perturbation):
    counts = np.bincount(draws(perturbation, 0.0)[:, 0], minlength=6)
    assert chisquare(counts).pvalue > 0.01
    # Every place of the batch, not only the first.
    pairs = draws(perturbation, 0.0, n=2)
    assert chisquare(np.bincount(pairs[:, 1], minlength=6)).pvalue > 0.01


@pytest.mark.parametrize(
    ("perturbation", "beta", "weights"),
    [
        (Perturbation.SOFTMAX, 3.0, np.exp(3.0 * SCORES)),
        (Perturbation.POWER, 2.0, SCORES**2),
        (Perturbation.SOFTRANK, 1.0, 1.0 / np.array([5, 1, 3, 2, 6, 4])),
    ],
)
def test_chances_are_those_of_the_paper(perturbation, beta, weights):
    counts = np.bincount(draws(perturbation, beta)[:, 0], minlength=6)
    assert chisquare(counts, 3000 * weights / weights.sum()).pvalue > 0.01


def test_without_replacement():
    assert all(len(set(row)) == 4 for row in draws(Perturbation.POWER, 1.0, n=4, times=50))


def test_a_zero_score_has_no_power_until_all_others_are_drawn():
    drawn = draws(Perturbation.POWER, 0.5, n=3, times=200, scores=np.array([0.0, 1.0, 0.0, 1.0]))
    assert set(drawn[:, :2].ravel()) == {1, 3}
    assert set(drawn[:, 2]) == {0, 2}


def test_negative_scores_and_betas_are_refused(rng):
    with pytest.raises(PoolError, match=r"zero or more; got -1: use softrank"):
        perturbation_keys(np.array([-1.0, 2.0]), Perturbation.POWER)
    for beta in (-1.0, np.nan):
        with pytest.raises(PoolError, match="beta must be 0 or more"):
            gumbel_top_n(SCORES, 1, beta=beta, rng=rng)
