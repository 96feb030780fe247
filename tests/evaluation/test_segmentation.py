"""Expected numbers are worked out by hand from the definitions."""

import numpy as np
import pytest

from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.segmentation import boundary_distances, dice, iou

UPPER_ROW = np.array([[1, 1], [0, 0]], dtype=np.uint8)
LEFT_COLUMN = np.array([[2, 0], [2, 0]], dtype=np.uint8)
EMPTY = np.zeros((2, 2), dtype=np.uint8)


def test_dice_of_two_masks_that_share_one_of_two_pixels():
    assert dice(UPPER_ROW, LEFT_COLUMN) == pytest.approx(2 * 1 / (2 + 2))


def test_iou_of_two_masks_that_share_one_of_two_pixels():
    assert iou(UPPER_ROW, LEFT_COLUMN) == pytest.approx(1 / 3)


def test_a_missed_lesion_scores_zero():
    assert dice(UPPER_ROW, EMPTY) == 0
    assert iou(UPPER_ROW, EMPTY) == 0


def test_two_empty_masks_have_nothing_to_compare():
    assert np.isnan(dice(EMPTY, EMPTY))
    assert np.isnan(iou(EMPTY, EMPTY))
    assert np.isnan(boundary_distances(EMPTY, EMPTY).hd95)


def test_distances_are_undefined_where_one_outline_is_missing():
    assert np.isnan(boundary_distances(UPPER_ROW, EMPTY)).all()


def test_equal_masks_are_no_distance_apart():
    assert boundary_distances(UPPER_ROW, UPPER_ROW) == (0, 0)


def test_distances_between_two_pixels_follow_the_spacing():
    first, second = np.zeros((5, 5)), np.zeros((5, 5))
    first[0, 0], second[3, 4] = 1, 1
    assert boundary_distances(first, second) == (5, 5)
    # 3 rows of 2 mm and 4 columns of 0.5 mm.
    expected = np.hypot(6, 2)
    assert boundary_distances(first, second, spacing=(2.0, 0.5)) == pytest.approx((expected, expected))


def test_assd_averages_over_the_pixels_of_both_outlines():
    first, second = np.zeros((1, 8)), np.zeros((1, 8))
    first[0, 0:1] = 1
    second[0, 0:3] = 1
    # From the first: 0. From the second: 0, 1, 2. Four boundary pixels in all.
    assert boundary_distances(first, second).assd == pytest.approx(3 / 4)
    # Directed 95th percentiles: 0, and 1.9 of (0, 1, 2).
    assert boundary_distances(first, second).hd95 == pytest.approx(1.9)


def test_the_inside_of_a_lesion_is_no_boundary():
    solid, ring = np.ones((5, 5)), np.ones((5, 5))
    ring[2, 2] = 0
    # The ring's inner edge, the 4-neighbours of the hole, lies 1 from the solid's edge; the rest agrees.
    distances = boundary_distances(solid, ring)
    assert distances.assd == pytest.approx(4 * 1 / (16 + 16 + 4))


def test_agrees_with_monai():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:40, :50]
    for _ in range(5):
        r, c, a = rng.integers(12, 25, 3)
        first = (np.hypot(rows - r, cols - c) < a / 2).astype(np.uint8)
        second = (np.hypot((rows - r - 2) * 1.3, cols - c + 3) < a / 2).astype(np.uint8)
        y, p = (torch.from_numpy(m)[None, None] for m in (first, second))
        hd95, assd = boundary_distances(first, second)
        expected = metrics.compute_hausdorff_distance(p, y, include_background=True, percentile=95)
        assert hd95 == pytest.approx(float(expected), abs=1e-4)
        expected = metrics.compute_average_surface_distance(p, y, include_background=True, symmetric=True)
        assert assd == pytest.approx(float(expected), abs=1e-4)


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(InvalidLabelError, match=r"one size are required; got \(2, 2\) and \(3, 2\)"):
        dice(EMPTY, np.zeros((3, 2)))
