import numpy as np
import pytest

from breastlabel.activelearning.labelled import disagreement

EMPTY = np.zeros((4, 4), np.uint8)
BENIGN = EMPTY.copy()
BENIGN[:2] = 1


def test_maps_that_are_alike_do_not_disagree():
    assert disagreement(BENIGN, BENIGN) == 0
    assert disagreement(EMPTY, EMPTY) == 0


def test_half_an_outline_is_one_less_its_dice():
    half = BENIGN.copy()
    half[1] = 0
    # 4 pixels of 8 and 4: Dice 2 * 4 / 12.
    assert disagreement(half, BENIGN) == pytest.approx(1 - 8 / 12)
    assert disagreement(BENIGN, half) == pytest.approx(1 - 8 / 12)


def test_another_class_or_a_missed_lesion_is_all_wrong():
    assert disagreement(BENIGN * 2, BENIGN) == 1
    assert disagreement(EMPTY, BENIGN) == 1
    assert disagreement(BENIGN, EMPTY) == 1
