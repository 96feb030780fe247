import numpy as np
import pytest

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


def test_calibration_error_by_hand():
    # Four answers with confidence 0.9, two of them right: a gap of 0.4.
    p = np.array([[0.9, 0.1]] * 4)
    assert c.expected_calibration_error(p, np.array([0, 0, 1, 1])) == pytest.approx(0.4)
    # Half the answers are calibrated (confidence 1, right), so half the gap.
    mixed = np.concatenate([p, np.array([[1.0, 0.0]] * 4)])
    assert c.expected_calibration_error(mixed, np.array([0, 0, 1, 1, 0, 0, 0, 0])) == pytest.approx(0.2)
    assert np.isnan(c.expected_calibration_error(np.zeros((0, 2)), np.zeros(0, dtype=int)))


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
    assert c.expected_calibration_error(after, labels) < 0.3 * c.expected_calibration_error(before, labels)
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))


def test_mask_threshold_is_the_one_with_the_best_dice():
    mask = np.array([[1, 1, 0, 0]])
    probability = np.array([[0.9, 0.35, 0.3, 0.1]])
    chosen = c.choose_mask_threshold([probability], [mask], grid=(0.2, 0.32, 0.5, 0.8))
    assert chosen == (0.32, 1.0)


def test_mask_threshold_stays_at_one_half_where_nothing_decides():
    assert c.choose_mask_threshold([np.ones((2, 2))], [np.ones((2, 2))]).threshold == 0.5
    neutral = c.choose_mask_threshold([np.ones((2, 2))], [np.zeros((2, 2))])
    assert neutral.threshold == 0.5
    assert np.isnan(neutral.value)


def test_mask_dice_agrees_with_its_definition():
    rng = np.random.default_rng(3)
    p, m = rng.random((20, 30)), rng.random((20, 30)) > 0.7
    level, dice = c.choose_mask_threshold([p], [m], grid=(0.4,))
    predicted = p >= level
    assert dice == pytest.approx(2 * (predicted & m).sum() / (predicted.sum() + m.sum()))


def test_class_threshold_reaches_the_sensitivity_and_no_lower_than_needed():
    scores = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.1])
    positives = np.array([True, True, True, True, False, False])
    assert c.choose_class_threshold(scores, positives, sensitivity=0.75) == (0.6, 0.75)
    assert c.choose_class_threshold(scores, positives, sensitivity=1.0) == (0.3, 1.0)
    with pytest.raises(ValueError, match="at least one positive"):
        c.choose_class_threshold(scores, np.zeros(6, dtype=bool), sensitivity=0.9)
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got 0"):
        c.choose_class_threshold(scores, positives, sensitivity=0)
