import numpy as np
import pytest

from breastlabel.evaluation.lesions import LesionMatch, froc_at, froc_curve, match_lesions


def mask(*boxes: tuple[slice, slice]) -> np.ndarray:
    drawn = np.zeros((20, 30), dtype=np.uint8)
    for box in boxes:
        drawn[box] = 1
    return drawn


LEFT, RIGHT, MIDDLE = np.s_[2:8, 2:8], np.s_[2:8, 20:26], np.s_[10:14, 10:14]


def test_one_of_two_lesions_is_found_and_one_mark_is_false():
    match = match_lesions(mask(LEFT, RIGHT), mask(LEFT, MIDDLE))
    assert match.hits == (True, False)
    assert match.lesions == (0, -1)


def test_a_candidate_as_large_as_the_image_finds_nothing():
    match = match_lesions(mask(LEFT), np.ones((20, 30)))
    assert match.hits == (False,)


def test_a_hit_needs_an_iou_of_a_fifth():
    # 36 lesion pixels: 8 of them are 8/36 = 0.22, 6 are 0.17.
    assert match_lesions(mask(LEFT), mask(np.s_[2:4, 2:6])).hits == (True,)
    assert match_lesions(mask(LEFT), mask(np.s_[2:4, 2:5])).hits == (False,)


def test_diagonal_neighbours_are_one_lesion():
    drawn = np.eye(5, dtype=np.uint8)
    assert match_lesions(drawn, drawn).hits == (True,)


def test_a_weak_candidate_counts_for_the_curve_but_not_as_found():
    probability = np.zeros((20, 30), dtype=np.float32)
    probability[LEFT] = 0.3
    match = match_lesions(mask(LEFT), mask(), probability)
    assert match.hits == (False,)
    assert match.n_painted == 0
    assert match.lesions == (0,)
    assert match.scores == pytest.approx((0.3,))


def test_the_halo_of_a_painted_region_is_no_candidate_of_its_own():
    probability = np.full((20, 30), 0.2, dtype=np.float32)
    probability[LEFT] = 0.9
    match = match_lesions(mask(LEFT), mask(LEFT), probability)
    assert match.scores == pytest.approx((0.9,))


def test_froc_by_hand():
    matches = [
        LesionMatch(hits=(True, True), scores=(0.9, 0.4, 0.6), lesions=(0, 1, -1)),
        LesionMatch(hits=(), scores=(0.8,), lesions=(-1,)),
        LesionMatch(hits=(False,), scores=(), lesions=()),
        LesionMatch(),
    ]
    curve = froc_curve(matches)
    # Scores from the top: 0.9 true, 0.8 false, 0.6 false, 0.4 true; 3 lesions, 4 images.
    assert curve.sensitivity == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert curve.fp_per_image == pytest.approx([0, 0, 0.25, 0.5, 0.5])
    assert froc_at(curve, (0.25, 0.5, 4)) == pytest.approx([1 / 3, 2 / 3, 2 / 3])


def test_a_lesion_hit_twice_counts_once():
    match = LesionMatch(hits=(True,), scores=(0.9, 0.5), lesions=(0, 0))
    assert froc_curve([match]).sensitivity.max() == 1


def test_froc_is_undefined_without_lesions():
    assert np.isnan(froc_at(froc_curve([LesionMatch(scores=(0.5,), lesions=(-1,))]))).all()
    assert np.isnan(froc_at(froc_curve([]))).all()
