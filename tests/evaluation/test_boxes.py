"""Boxes of reader and model, paired by hand."""

import numpy as np
import pytest

from breastlabel.evaluation.bootstrap import Bootstrap
from breastlabel.evaluation.boxes import box_measures, match_boxes

READER = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
NONE = np.zeros((0, 4), np.float32)


def test_a_box_finds_the_lesion_with_which_it_agrees_most():
    # The whole of the first; half of the second, IoU 1/2; a sliver of the first, IoU 1/10.
    model = np.array([[0, 0, 10, 10], [20, 20, 30, 25], [0, 0, 1, 10]], np.float32)
    match = match_boxes(READER, model, [0.9, 0.5, 0.7])
    assert match.lesions == (0, 1, -1)
    assert match.hits == (True, True)
    assert match.scores == (0.9, 0.5, 0.7)
    assert match_boxes(NONE, model, [0.9, 0.5, 0.7]).lesions == (-1, -1, -1)
    assert match_boxes(READER, NONE, []).hits == (False, False)


def test_sensitivity_is_counted_at_one_false_box_an_image():
    far = [40.0, 40.0, 50.0, 50.0]
    found = match_boxes(READER[:1], np.array([READER[0], far], np.float32), [0.9, 0.8])
    # Its true box is surer than two of its false ones: the third false box of the two images is too much.
    late = match_boxes(READER[1:], np.array([far, far, READER[1]], np.float32), [0.7, 0.6, 0.5])
    measures = box_measures([found, None, late], Bootstrap(["a", "a", "b"], resamples=50))
    assert (measures["n_images"], measures["n_lesions"]) == (2, 2)
    assert measures["sensitivity"]["mean"] == 0.5
    by_rate = dict(zip(measures["froc"]["fp_per_image"], measures["froc"]["sensitivity"], strict=True))
    # 0 false marks at 0.9, 1 an image at 0.7, 1.5 at 0.5.
    assert by_rate[0.125] == by_rate[1.0] == 0.5
    assert by_rate[2.0] == 1.0


def test_where_nobody_drew_nothing_is_measured():
    measures = box_measures([None], Bootstrap(["a"], resamples=20))
    assert measures["n_images"] == 0
    assert measures["sensitivity"] is None
    assert set(measures["froc"]["sensitivity"]) == {None}


def test_without_a_false_box_every_lesion_with_a_box_is_found():
    matches = [match_boxes(READER, READER[:1], [0.05])]
    measures = box_measures(matches, Bootstrap(["a"], resamples=20))
    assert measures["sensitivity"]["mean"] == pytest.approx(0.5)
