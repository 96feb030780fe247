"""P1's image-mask alignment check."""

import numpy as np
import pytest

from breastlabel.errors import InvalidLabelError
from breastlabel.transforms import check_alignment


@pytest.fixture
def framed() -> np.ndarray:
    """An image of speckle with an empty margin on its right."""
    pixels = np.zeros((60, 120), np.float32)
    pixels[:, :60] = np.random.default_rng(0).uniform(10, 200, (60, 60))
    return pixels


def test_masks_on_the_image_pass(framed):
    mask = np.zeros((60, 120), np.uint8)
    check_alignment(framed, mask)
    mask[20:30, 20:40] = 2
    mask[40:45, 20:40] = 1
    check_alignment(framed, mask)


def test_black_cyst_passes(framed):
    framed[15:35, 15:35] = 0
    mask = np.zeros((60, 120), np.uint8)
    mask[15:35, 15:35] = 1
    check_alignment(framed, mask)


def test_mask_of_another_size_is_refused(framed):
    with pytest.raises(InvalidLabelError, match=r"\(60, 120\) \(rows, cols\) is required; got \(120, 60\)"):
        check_alignment(framed, np.zeros((120, 60), np.uint8))


def test_unknown_values_are_refused(framed):
    with pytest.raises(InvalidLabelError, match="it also holds 3, 255; map the segments by name"):
        check_alignment(framed, np.full((60, 120), 255, np.uint8) - np.eye(60, 120, dtype=np.uint8) * 252)


def test_mask_in_the_empty_margin_is_refused(framed):
    mask = np.zeros((60, 120), np.uint8)
    mask[20:30, 90:100] = 1
    with pytest.raises(
        InvalidLabelError, match="under and 6 pixels around it are 0; check that it was not shifted"
    ):
        check_alignment(framed, mask)
