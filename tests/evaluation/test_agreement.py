"""Expected numbers are worked out by hand from the definitions."""

import json

import numpy as np
import pytest

from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.agreement import compare_masks

EMPTY = np.zeros((4, 6), np.uint8)


def row(*values):
    return np.array([values], np.uint8)


def test_an_accepted_proposal_is_unchanged():
    mask = row(0, 1, 1, 0)
    found = compare_masks(mask, mask.copy())
    assert found.unchanged
    assert not found.class_changed
    assert (found.dice, found.assd, found.hd95) == (1, 0, 0)
    assert (found.added, found.removed, found.repainted) == (0, 0, 0)


def test_two_empty_masks_agree_and_have_no_outlines_to_compare():
    found = compare_masks(EMPTY, EMPTY.copy())
    assert found.dice == 1
    assert found.unchanged
    assert found.assd is found.hd95 is None
    assert found.dice_per_class == {"benign": None, "malignant": None}


def test_a_lesion_that_the_reader_erased_scores_zero_and_changes_the_class():
    found = compare_masks(row(0, 2, 2, 0), row(0, 0, 0, 0))
    assert found.dice == 0
    assert found.removed == 1
    assert found.class_changed
    assert found.assd is None


def test_shares_are_of_what_either_mask_paints():
    # Painted by either: columns 0 to 4. Removed: 0. Added: 3 and 4. Both: 1 and 2.
    found = compare_masks(row(1, 1, 1, 0, 0, 0), row(0, 1, 1, 1, 1, 0))
    assert found.removed == pytest.approx(1 / 5)
    assert found.added == pytest.approx(2 / 5)
    assert found.dice == pytest.approx(2 * 2 / (3 + 4))
    assert not found.class_changed


def test_another_class_on_the_same_outline_keeps_the_lesions_dice():
    found = compare_masks(row(0, 1, 1, 1), row(0, 2, 2, 2))
    assert found.dice == 1
    assert found.dice_per_class == {"benign": 0, "malignant": 0}
    assert found.repainted == 1
    assert found.class_changed
    assert not found.unchanged


def test_the_worst_class_is_the_images():
    assert compare_masks(row(1, 1, 1, 2), row(1, 1, 1, 0)).class_changed
    assert not compare_masks(row(1, 1, 1, 2), row(1, 2, 2, 2)).class_changed


def test_distances_are_in_millimetres_where_the_spacing_is_known():
    first, second = EMPTY.copy(), EMPTY.copy()
    first[0, 0], second[3, 4] = 1, 1
    in_pixels = compare_masks(first, second)
    assert (in_pixels.distance_unit, in_pixels.assd) == ("px", 5)
    # 3 rows of 2 mm and 4 columns of 0.5 mm.
    in_mm = compare_masks(first, second, (2.0, 0.5))
    assert in_mm.distance_unit == "mm"
    assert in_mm.hd95 == pytest.approx(np.hypot(6, 2))


def test_swapping_the_masks_swaps_added_and_removed():
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 3, (9, 7)).astype(np.uint8) for _ in range(2))
    there, back = compare_masks(a, b), compare_masks(b, a)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert (there.dice, there.assd, there.repainted) == (back.dice, back.assd, back.repainted)


def test_json_holds_no_nan():
    found = compare_masks(row(0, 1), row(0, 0))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(InvalidLabelError, match="one size are required"):
        compare_masks(EMPTY, row(0, 1))
