import cv2
import numpy as np
import pytest
from skimage.morphology import disk

from breastlabel.inference.morphology import clean_mask, fill_holes, keep_components, threshold


def square(shape, *boxes):
    mask = np.zeros(shape, dtype=bool)
    for r0, c0, r1, c1 in boxes:
        mask[r0:r1, c0:c1] = True
    return mask


def test_threshold_keeps_the_level_itself():
    assert threshold(np.array([[0.4, 0.5, 0.6]], dtype=np.float32), 0.5).tolist() == [[False, True, True]]


def test_opening_removes_a_hair_and_closing_a_crack():
    lesion = square((30, 40), (8, 8, 22, 22))
    noisy = lesion | square((30, 40), (14, 22, 15, 38))
    noisy[8:22, 15] = False
    cleaned = clean_mask(noisy, radius=2)
    assert not cleaned[:, 25:].any()
    assert cleaned[12:18, 15].all()


def test_holes_are_filled_but_bays_at_the_border_are_not():
    ring = square((12, 12), (2, 2, 10, 10)) & ~square((12, 12), (4, 4, 8, 8))
    assert fill_holes(ring).sum() == 64
    bay = square((12, 12), (0, 0, 12, 12)) & ~square((12, 12), (4, 4, 12, 8))
    np.testing.assert_array_equal(fill_holes(bay), bay)


def test_a_hole_closed_only_by_a_diagonal_is_filled_as_the_outline_is_8_connected():
    diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)
    assert fill_holes(diamond)[1, 1]


def test_specks_below_the_area_fraction_go_and_the_rest_stays():
    mask = square((10, 10), (0, 0, 5, 5), (7, 7, 9, 9), (9, 0, 10, 1))
    kept = clean_mask(mask, radius=0, min_area_fraction=0.04)
    np.testing.assert_array_equal(kept, square((10, 10), (0, 0, 5, 5), (7, 7, 9, 9)))


def test_the_largest_component_alone_can_be_kept():
    mask = square((10, 10), (0, 0, 2, 2), (4, 4, 8, 8), (9, 0, 10, 3))
    np.testing.assert_array_equal(keep_components(mask, largest_only=True), square((10, 10), (4, 4, 8, 8)))


def test_pixels_that_touch_at_a_corner_are_one_component():
    mask = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(keep_components(mask, min_area=4), mask)


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_stay_what_they_are(value):
    mask = np.full((9, 13), value)
    np.testing.assert_array_equal(clean_mask(mask, radius=2, min_area_fraction=0.1, largest_only=True), mask)


def test_a_lesion_cut_by_the_images_edge_keeps_its_side():
    mask = square((20, 20), (5, 0, 15, 10))
    assert clean_mask(mask, radius=2)[7:13, 0].all()


def test_the_argument_is_left_alone():
    mask = np.eye(5, dtype=bool)
    clean_mask(mask, radius=1)
    np.testing.assert_array_equal(mask, np.eye(5, dtype=bool))


def test_a_mask_far_from_the_rest_of_the_image_is_cleaned_as_on_the_image_alone():
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((40, 50)), (0, 0), 3) > 0.49
    large = np.zeros((200, 300), dtype=bool)
    large[100:140, 120:170] = noise
    cleaned = clean_mask(large, radius=3)
    # The definition, on the whole image at once.
    kernel = disk(3, dtype=np.uint8)
    opened = cv2.morphologyEx(large.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel)
    np.testing.assert_array_equal(cleaned, fill_holes(closed.astype(bool)))
    assert cleaned.any()
