import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.inference import uncertainty as u

T = 40


def passes(*rows):
    return np.array(rows, dtype=np.float64)


CERTAIN = np.tile([1.0, 0.0, 0.0], (T, 1))
# Every pass says "I cannot tell": noise in the data.
ALEATORIC = np.full((T, 3), 1 / 3)
# Every pass is sure, of another class each: the model has not seen such an image.
EPISTEMIC = np.eye(3)[np.arange(T) % 3]


def test_entropy_cannot_tell_aleatoric_from_epistemic_but_is_zero_when_certain():
    assert u.predictive_entropy(CERTAIN) == pytest.approx(0)
    assert u.predictive_entropy(ALEATORIC) == pytest.approx(np.log(3))
    assert u.predictive_entropy(EPISTEMIC) == pytest.approx(np.log(3), abs=1e-3)


@pytest.mark.parametrize("measure", [u.mutual_information, u.predictive_variance, u.variation_ratio])
def test_disagreement_is_high_for_epistemic_uncertainty_only(measure):
    assert measure(CERTAIN) == pytest.approx(0)
    assert measure(ALEATORIC) == pytest.approx(0)
    assert measure(EPISTEMIC) > 0.2


def test_mutual_information_by_hand():
    # Two passes, sure of opposite things: log 2 of the mean, nothing within a pass.
    assert u.mutual_information(passes([1, 0], [0, 1])) == pytest.approx(np.log(2))


def test_mutual_information_ranks_by_how_far_the_passes_are_apart():
    spread = [
        u.mutual_information(passes([0.5 + d, 0.5 - d], [0.5 - d, 0.5 + d])) for d in (0, 0.1, 0.3, 0.5)
    ]
    assert spread == sorted(spread)
    assert spread[0] == pytest.approx(0)


def test_variation_ratio_counts_the_votes_against_the_commonest():
    votes = np.eye(3)[[0, 0, 0, 1, 2]]
    assert u.variation_ratio(votes) == pytest.approx(2 / 5)


def test_variance_by_hand():
    # Each class is 0 and 1: variance 1/4 each.
    assert u.predictive_variance(passes([1, 0], [0, 1])) == pytest.approx(0.25)


def test_functions_work_a_pixel_at_a_time():
    maps = u.as_two_classes(np.stack([np.zeros((4, 5)), np.ones((4, 5))]))
    assert maps.shape == (2, 4, 5, 2)
    np.testing.assert_allclose(u.mutual_information(maps), np.full((4, 5), np.log(2)))
    np.testing.assert_allclose(u.predictive_entropy(maps), np.full((4, 5), np.log(2)))


def test_mask_disagreement_is_the_mean_of_one_minus_dice_over_the_pairs():
    a = np.array([[1, 1, 0, 0]], dtype=float)
    b = np.array([[0, 1, 1, 0]], dtype=float)
    c = np.array([[0, 0, 0, 1]], dtype=float)
    # Dice: ab = 2 * 1 / 4, ac = bc = 0.
    assert u.mask_disagreement(np.stack([a, b, c])) == pytest.approx((0.5 + 1 + 1) / 3)


def test_masks_that_agree_do_not_disagree_even_when_empty():
    assert u.mask_disagreement(np.zeros((3, 4, 4))) == 0
    assert u.mask_disagreement(np.ones((3, 4, 4))) == 0
    assert u.mask_disagreement(np.ones((1, 4, 4))) == 0
    assert u.mask_disagreement(np.stack([np.zeros((4, 4)), np.ones((4, 4))])) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 5))
def test_bounds_hold_for_any_passes(seed, n, k):
    p = np.random.default_rng(seed).dirichlet(np.ones(k) * 0.5, size=n)
    total, mutual = u.predictive_entropy(p), u.mutual_information(p)
    assert 0 <= mutual <= total + 1e-9 <= np.log(k) + 1e-6
    assert 0 <= u.variation_ratio(p) <= 1 - 1 / k + 1e-9
    assert 0 <= u.predictive_variance(p) <= 0.25 + 1e-9
