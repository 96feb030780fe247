import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.clasp import clasp_pe, class_entropies, class_shares, scheduled_beta
from breastlabel.activelearning.scores import entropy
from breastlabel.activelearning.stochastic import top_n

# Ninety images that are thought normal, all of them unsure; ten that are thought malignant, and surer.
NORMAL = [0.5, 0.26, 0.24]
MALIGNANT = [0.02, 0.08, 0.9]
IMBALANCED = np.array([NORMAL] * 90 + [MALIGNANT] * 10)


def test_class_entropies_are_shares_of_the_entropy():
    p = np.array([[0.5, 0.5, 0.0], [0.7, 0.2, 0.1]])
    by_class = class_entropies(p)
    np.testing.assert_allclose(by_class[0], np.log(2) * np.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(by_class.sum(axis=1), entropy(p))


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_shares_are_equal_but_for_one(n, stratified, seed):
    shares = class_shares(n, [0, 1, 2], stratified=stratified, rng=np.random.default_rng(seed))
    assert sorted(shares) == [0, 1, 2]
    assert sum(shares.values()) == int(n * stratified)
    assert max(shares.values()) - min(shares.values()) <= 1


def test_a_rare_class_gets_its_share_where_plain_entropy_gives_it_none(rng):
    assert all(i < 90 for i in top_n(entropy(IMBALANCED), 12))
    picked = clasp_pe(IMBALANCED, 12, rng=rng, beta=np.inf)
    # int(12 * 0.66) = 7 are stratified: two or three of them for the malignant class.
    assert sum(i >= 90 for i in picked) >= 2


def test_the_background_gets_no_share(rng):
    probabilities = np.array([[0.6, 0.4, 0.0]] * 5 + [[0.0, 0.3, 0.7]] * 5 + [[0.0, 0.7, 0.3]] * 5)
    picked = clasp_pe(probabilities, 4, rng=rng, beta=np.inf, stratified=1.0, background=0)
    assert all(i >= 5 for i in picked)


def test_without_strata_and_noise_it_is_the_entropy(rng):
    p = rng.dirichlet(np.ones(3), size=20)
    assert clasp_pe(p, 6, rng=rng, beta=np.inf, stratified=0.0) == top_n(entropy(p), 6)


def test_the_power_rises_from_round_to_round():
    betas = [scheduled_beta(i, 5) for i in range(5)]
    assert betas[0] == pytest.approx(1.0)
    assert betas[-1] == pytest.approx(100.0)
    np.testing.assert_allclose(np.diff(np.log(betas)), np.log(100) / 4)
    assert scheduled_beta(0, 1) == 1.0


def test_early_batches_vary_and_late_ones_exploit(rng):
    p = rng.dirichlet(np.ones(3), size=60)

    def mean_entropy(beta):
        batches = [clasp_pe(p, 9, rng=np.random.default_rng(s), beta=beta) for s in range(30)]
        return np.mean([entropy(p[b]).mean() for b in batches]), len(set(np.ravel(batches)))

    (early, seen_early), (late, seen_late) = mean_entropy(1.0), mean_entropy(100.0)
    assert early < late
    assert seen_early > seen_late


def test_a_fraction_outside_zero_to_one_is_refused(rng):
    with pytest.raises(PoolError, match=r"lie in \[0, 1\]; got 1.5"):
        clasp_pe(IMBALANCED, 3, rng=rng, beta=1.0, stratified=1.5)
