"""Consensus of label maps that can be worked out by hand."""

import numpy as np
import pytest

from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.consensus import majority, staple


def row(*values):
    return np.array([values], np.uint8)


def disc(radius, value=1, *, centre=(20, 22), shape=(60, 64)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return ((np.hypot(rows - centre[0], cols - centre[1]) <= radius) * value).astype(np.uint8)


def test_more_than_half_of_the_readers_decide_what_is_lesion():
    found = majority([row(1, 1, 1, 0), row(1, 1, 0, 0), row(1, 0, 0, 0)])
    assert found.tolist() == [[1, 1, 0, 0]]


def test_half_of_the_readers_are_no_majority():
    assert majority([row(1, 1), row(1, 0)]).tolist() == [[1, 0]]


@pytest.mark.parametrize("consensus", [majority, lambda masks: staple(masks).mask])
def test_a_lesion_that_all_see_stays_whatever_its_class_and_a_tie_is_malignant(consensus):
    assert np.array_equal(consensus([disc(8, 1), disc(8, 2)]), disc(8, 2))


@pytest.mark.parametrize("consensus", [majority, lambda masks: staple(masks).mask])
def test_the_class_that_most_give_is_painted(consensus):
    assert np.array_equal(consensus([disc(8, 1), disc(8, 2), disc(8, 1)]), disc(8, 1))


@pytest.mark.parametrize("consensus", [majority, lambda masks: staple(masks).mask])
def test_equal_masks_are_their_own_consensus_and_empty_ones_are_empty(consensus):
    both = disc(5, 1, centre=(12, 12)) + disc(6, 2, centre=(28, 30))
    assert np.array_equal(consensus([both, both, both]), both)
    full, empty = np.full((6, 5), 2, np.uint8), np.zeros((6, 5), np.uint8)
    assert np.array_equal(consensus([full, full]), full)
    assert np.array_equal(consensus([empty, empty, empty]), empty)


@pytest.mark.parametrize("consensus", [majority, lambda masks: staple(masks).mask])
def test_the_order_of_the_readers_does_not_matter(consensus):
    masks = [disc(8), disc(7, 2), disc(9, centre=(21, 22))]
    assert np.array_equal(consensus(masks), consensus(masks[::-1]))


def test_staple_finds_the_reader_who_differs():
    found = staple([disc(8), disc(8), disc(8), disc(4)])
    assert np.array_equal(found.mask, disc(8))
    *good, small = found.performance["lesion"]
    assert all(p.sensitivity == pytest.approx(1) and p.specificity == pytest.approx(1) for p in good)
    # The share of the large disc that the small one covers.
    assert small.sensitivity == pytest.approx(np.count_nonzero(disc(4)) / np.count_nonzero(disc(8)), abs=1e-6)
    assert small.specificity == pytest.approx(1)
    assert set(found.performance) == {"lesion", "benign"}


def test_staple_does_not_depend_on_how_much_empty_image_surrounds_the_lesion():
    masks = [disc(4, centre=(20, 22)), disc(6, centre=(20, 22)), disc(5, centre=(22, 22))]
    near = staple(masks)
    far = staple([np.pad(mask, 200) for mask in masks])
    assert np.array_equal(np.pad(near.mask, 200), far.mask)
    assert near.performance == far.performance


def test_staple_agrees_with_the_filter_itself_where_the_box_is_the_image():
    sitk = pytest.importorskip("SimpleITK")
    masks = [disc(8, centre=(9, 9), shape=(20, 20)), disc(6, centre=(9, 10), shape=(20, 20))]
    masks.append(disc(7, centre=(11, 9), shape=(20, 20)))
    expected = sitk.GetArrayFromImage(sitk.STAPLE([sitk.GetImageFromArray(m) for m in masks], 1.0))
    assert np.array_equal(staple(masks).mask > 0, expected > 0.5)


@pytest.mark.parametrize("consensus", [majority, staple])
def test_one_reader_and_masks_of_different_sizes_are_refused(consensus):
    with pytest.raises(InvalidLabelError, match="at least two readers are required; got 1"):
        consensus([row(0, 1)])
    with pytest.raises(InvalidLabelError, match=r"one size are required; got \(1, 2\) and \(1, 3\)"):
        consensus([row(0, 1), row(0, 1, 1)])
