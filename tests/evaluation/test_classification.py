import numpy as np
import pytest
from sklearn import metrics

from breastlabel.evaluation import classification as cls
from breastlabel.inference.calibration import reliability_bins

TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, 0])
CALLED = np.array([1, 1, 0, 1, 0, 0, 0, 0])


def test_binary_measures_by_hand():
    # TP 2, FN 1, FP 1, TN 4.
    assert cls.sensitivity(TRUTH, CALLED) == pytest.approx(2 / 3)
    assert cls.specificity(TRUTH, CALLED) == pytest.approx(4 / 5)
    assert cls.precision(TRUTH, CALLED) == pytest.approx(2 / 3)
    assert cls.f1(TRUTH, CALLED) == pytest.approx(4 / 6)
    assert cls.accuracy(TRUTH, CALLED) == pytest.approx(6 / 8)


def test_sensitivity_is_not_precision():
    """P2's printed formula divides by TP + FP."""
    called = np.array([1, 0, 0, 0, 0, 0, 0, 0])
    assert cls.sensitivity(TRUTH, called) == pytest.approx(1 / 3)
    assert cls.precision(TRUTH, called) == pytest.approx(1)


def test_probabilistic_f1_by_hand():
    truth, probability = np.array([1, 1, 0]), np.array([0.8, 0.4, 0.3])
    precision, recall = 1.2 / 1.5, 1.2 / 2
    expected = 2 * precision * recall / (precision + recall)
    assert cls.probabilistic_f1(truth, probability) == pytest.approx(expected)


def test_probabilistic_f1_of_decisions_is_f1():
    assert cls.probabilistic_f1(TRUTH, CALLED.astype(float)) == pytest.approx(cls.f1(TRUTH, CALLED))


def test_auc_counts_pairs_and_halves_ties():
    truth, score = np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    # Pairs: 0.9 beats both, 0.5 ties with 0.5 and beats 0.1.
    assert cls.auc(truth, score) == pytest.approx(3.5 / 4)


def test_measures_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, 200), rng.integers(0, 20, 200) / 20
    called = score > 0.5
    assert cls.auc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score))
    assert cls.f1(truth, called) == pytest.approx(metrics.f1_score(truth, called))
    assert cls.precision(truth, called) == pytest.approx(metrics.precision_score(truth, called))
    assert cls.sensitivity(truth, called) == pytest.approx(metrics.recall_score(truth, called))
    assert cls.accuracy(truth, called) == pytest.approx(metrics.accuracy_score(truth, called))


def test_weights_are_as_good_as_repeated_images():
    rng = np.random.default_rng(1)
    truth, score = rng.integers(0, 2, 30), rng.random(30)
    counts = rng.integers(0, 4, 30)
    repeated = np.repeat(np.arange(30), counts)
    weighted = cls.auc(truth, score, counts[None].astype(float))
    assert weighted == pytest.approx(metrics.roc_auc_score(truth[repeated], score[repeated]))
    weighted = cls.f1(truth, score > 0.5, counts[None].astype(float))
    assert weighted == pytest.approx(metrics.f1_score(truth[repeated], score[repeated] > 0.5))


def test_calibration_error_by_hand():
    # Two images at confidence 0.9, one right: gap 0.4. Two at 0.6, both right: gap 0.4.
    probabilities = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.4, 0.6, 0], [0.4, 0.6, 0]])
    assert cls.expected_calibration_error(np.array([0, 1, 1, 1]), probabilities) == pytest.approx(0.4)


def test_calibration_error_is_the_gap_of_the_reliability_bins():
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet((1, 1, 1), 100)
    labels = rng.integers(0, 3, 100)
    bins = reliability_bins(probabilities, labels, n_bins=15)
    expected = np.nansum(np.abs(bins.confidence - bins.accuracy) * bins.counts) / 100
    assert cls.expected_calibration_error(labels, probabilities, bins=15) == pytest.approx(expected)
    assert np.isnan(cls.expected_calibration_error(np.zeros(0, int), np.zeros((0, 3)))).all()


def test_confusion_matrix_has_the_reader_in_rows():
    assert cls.confusion_matrix(np.array([0, 2, 2]), np.array([0, 1, 2])).tolist() == [
        [1, 0, 0],
        [0, 0, 0],
        [0, 1, 1],
    ]


@pytest.mark.parametrize("measure", [cls.sensitivity, cls.f1, cls.auc, cls.probabilistic_f1])
def test_undefined_without_a_positive_case(measure):
    assert np.isnan(measure(np.zeros(3), np.array([0.0, 1.0, 0.0]))).all()


def test_precision_is_undefined_where_nothing_was_called():
    assert np.isnan(cls.precision(np.array([1, 0]), np.array([0, 0]))).all()
