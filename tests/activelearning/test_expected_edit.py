import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.expected_edit import expected_edit, predicted_dice


def maps():
    return hnp.arrays(np.float64, (3, 4), elements=st.floats(0.0, 1.0))


def dice(a, b):
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else 2.0 * (a & b).sum() / total


def test_a_certain_mask_needs_no_edit():
    p = np.zeros((5, 5))
    assert expected_edit(p) == pytest.approx(0)
    p[1:3, 1:4] = 1.0
    assert expected_edit(p) == pytest.approx(0)


def test_by_hand():
    # m = {1, 0.6}. u > 0.6 draws {1}: Dice 2/3. 0.2 < u < 0.6 draws m: 1. u < 0.2 draws three: 4/5.
    p = np.array([[1.0, 0.6], [0.2, 0.0]])
    assert predicted_dice(p) == pytest.approx(0.4 * 2 / 3 + 0.4 * 1 + 0.2 * 4 / 5)


def test_an_empty_proposal_is_wrong_as_often_as_there_is_any_lesion():
    p = np.array([[0.3, 0.1], [0.0, 0.0]])
    assert expected_edit(p) == pytest.approx(0.3)


def test_the_haze_of_a_large_normal_image_is_no_lesion():
    assert expected_edit(np.full((224, 224), 1e-3)) == pytest.approx(1e-3)


def test_the_vaguer_the_outline_the_more_is_edited():
    distance = np.abs(np.arange(64) - 31.5)[:, None] + np.zeros((1, 8))
    maps = np.stack([1 / (1 + np.exp((distance - 10) / width)) for width in (0.1, 1.0, 3.0, 8.0)])
    edits = expected_edit(maps)
    assert edits.shape == (4,)
    assert np.all(np.diff(edits) > 0)


@given(maps(), st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_equals_the_integral_over_thresholds(p, level):
    # Between two neighbouring values the drawn mask does not change: the midpoint rule is exact.
    edges = np.unique(np.concatenate([[0.0, 1.0], p.ravel()]))
    middles = (edges[1:] + edges[:-1]) / 2
    expected = sum((edges[1:] - edges[:-1]) * np.array([dice(p >= level, p >= u) for u in middles]))
    assert predicted_dice(p, level=level) == pytest.approx(expected, abs=1e-9)


@given(maps(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_pixels_may_be_anywhere(p, random):
    pixels = list(p.ravel())
    random.shuffle(pixels)
    assert expected_edit(np.reshape(pixels, p.shape)) == pytest.approx(float(expected_edit(p)), abs=1e-12)


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.zeros((0, 3)), r"with pixels; got shape \(0, 3\)"),
        (np.zeros(3), "rows, cols"),
        (np.array([[2.0]]), r"lie in \[0, 1\]"),
        (np.array([[np.nan]]), r"lie in \[0, 1\]"),
    ],
)
def test_what_is_no_probability_map_is_refused(p, message):
    with pytest.raises(PoolError, match=message):
        expected_edit(p)
