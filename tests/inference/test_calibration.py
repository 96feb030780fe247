import numpy as np
import pytest

from breastlabel.evaluation.classification import expected_calibration_error
from breastlabel.inference import calibration as c


def sample(logits, rng):
    """Labels drawn from the softmax of the logits: those logits are calibrated by construction."""
    p = c.apply_temperature(logits, 1.0)
    return np.array([rng.choice(p.shape[1], p=row) for row in p])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_known_scaling(true_temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3)) * 2
    labels = sample(logits, rng)
    assert c.fit_temperature(logits * true_temperature, labels) == pytest.approx(true_temperature, rel=0.1)


def test_the_fit_is_a_minimum_of_the_likelihood():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(200, 3)) * 5
    labels = sample(logits / 4, rng)
    best = c.fit_temperature(logits, labels)
    at = [c.negative_log_likelihood(logits, labels, temperature=t) for t in (best * 0.9, best, best * 1.1)]
    assert at[1] <= min(at)


def test_nothing_to_fit_leaves_the_logits_alone():
    assert c.fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


def test_likelihood_by_hand():
    assert c.negative_log_likelihood(np.zeros((4, 2)), np.array([0, 1, 0, 1])) == pytest.approx(np.log(2))


def test_bins_hold_their_upper_edge():
    bins = c.reliability_bins(np.array([[0.8, 0.2], [0.81, 0.19]]), np.array([0, 1]), n_bins=5)
    assert bins.counts.tolist() == [0, 0, 0, 1, 1]
    assert bins.accuracy[3] == 1
    assert bins.accuracy[4] == 0
    assert np.isnan(bins.accuracy[0])


def test_temperature_keeps_the_ranking_and_lowers_the_error_of_an_overconfident_model():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(2000, 3)) * 2
    labels = sample(logits, rng)
    wild = logits * 4
    t = c.fit_temperature(wild, labels)
    before, after = c.apply_temperature(wild, 1.0), c.apply_temperature(wild, t)
    assert expected_calibration_error(labels, after) < 0.3 * expected_calibration_error(labels, before)
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
