"""Mammography phantoms in memory: determinism, one lesion in two views, priors, density, speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from breastlabel.datasets.mammogram_breast import Place, Projection, draw_breast
from breastlabel.datasets.mammogram_finding import draw_lesion, draw_superposition, earlier
from breastlabel.datasets.phantoms import Machine, MammogramView, mammogram_exam
from breastlabel.errors import StudiesError
from breastlabel.imaging import LesionClass, ViewPosition
from breastlabel.imaging.vocabulary import Density, Laterality

SMALL = (128, 104)
NORMAL, BENIGN, MALIGNANT = LesionClass
FOUR = [(side, view) for side in Laterality for view in (ViewPosition.CC, ViewPosition.MLO)]


def exam(seed: int, shape: tuple[int, int] = SMALL, **given: object) -> list[MammogramView]:
    given = {"classes": (BENIGN, MALIGNANT), "prior": False} | given
    return mammogram_exam(seed, shape=shape, **given)  # type: ignore[arg-type]


def breasts_with_priors(seeds: range) -> Iterator[tuple[MammogramView, MammogramView]]:
    """The same view before and now."""
    for seed in seeds:
        views = exam(seed, classes=(MALIGNANT, BENIGN), prior=True)
        yield from zip(views[:4], views[4:], strict=True)


def test_equal_seeds_give_equal_exams_and_others_do_not() -> None:
    first, again, other = exam(3), exam(3), exam(4)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.mask, b.mask)
        assert (a.acquired, a.age, a.density, a.machine) == (b.acquired, b.age, b.density, b.machine)
        assert (a.pixels != c.pixels).mean() > 0.2


def test_an_exam_is_both_breasts_in_two_views_with_the_older_exam_first() -> None:
    views = exam(5, prior=True)
    assert [(v.laterality, v.view_position) for v in views] == FOUR * 2
    assert [v.is_prior for v in views] == [True] * 4 + [False] * 4
    older, newer = views[0], views[4]
    assert 1 <= (newer.acquired - older.acquired).days / 365.25 <= 3
    assert newer.acquired.year - newer.age == older.acquired.year - older.age
    assert {v.density for v in views} == {newer.density}
    assert len(exam(5)) == 4


def test_the_chest_wall_is_left_in_left_breasts_and_right_in_right_ones() -> None:
    for view in exam(6, (256, 208)):
        bright = view.pixels > 0.2 * 2**view.machine.bits
        # The marker stands in the air at the top.
        halves = bright[90:, :104].sum(), bright[90:, 104:].sum()
        assert (halves[0] > halves[1]) == (view.laterality is Laterality.L)
        row, col = view.nipple
        assert 0 < row < 256
        assert (col > 60) == (view.laterality is Laterality.L) or 60 <= col <= 148


def test_the_muscle_is_bright_in_the_upper_corner_of_mlo_views_only() -> None:
    for view in exam(7, (256, 208), classes=(NORMAL, NORMAL), density=Density.A):
        wall = view.pixels if view.laterality is Laterality.L else view.pixels[:, ::-1]
        corner = wall[5:20, 2:12].mean() / 2**view.machine.bits
        assert (corner > 0.2) == (view.view_position is ViewPosition.MLO)


def test_a_lesion_lies_under_its_mask_in_both_views_at_one_depth_behind_the_nipple() -> None:
    for seed in range(8):
        for cc, mlo in pairwise(exam(seed)):
            if cc.laterality is not mlo.laterality:
                continue
            depths = []
            for view in (cc, mlo):
                assert set(np.unique(view.mask)) == {0, view.label}
                assert view.lesion is not None
                centre = ndimage.center_of_mass(view.mask > 0)
                assert np.hypot(*np.subtract(centre, view.lesion)) * view.spacing_mm < 5
                assert (view.mask > 0).mean() < 0.05
                depths.append(abs(view.lesion[1] - view.nipple[1]) * view.spacing_mm)
            assert abs(depths[0] - depths[1]) < 10


def test_height_shows_in_mlo_only_and_the_side_moves_cc_fully() -> None:
    breast = draw_breast(np.random.default_rng(1), np.random.default_rng(2), Density.B)
    cc, mlo = (Projection(breast, view) for view in (ViewPosition.CC, ViewPosition.MLO))
    low, high, outer = Place(40, 0, -20), Place(40, 0, 20), Place(40, 15, -20)
    assert cc.project(low) == cc.project(high)
    assert mlo.project(high)[1] > mlo.project(low)[1] + 20
    assert cc.project(outer)[1] - cc.project(low)[1] == 15
    assert 0 < mlo.project(outer)[1] - mlo.project(low)[1] < 15
    assert mlo.project(high)[0] == mlo.project(low)[0] == mlo.project(outer)[0]


def test_a_mass_is_brighter_than_what_surrounds_it() -> None:
    brighter = []
    for seed in range(12):
        for view in exam(seed, (192, 156), density=Density.A, machine=Machine.ALPHA):
            if view.lesion_type == "mass" and not view.masked:
                inside = view.mask > 0
                ring = ndimage.binary_dilation(inside, iterations=6) & ~ndimage.binary_dilation(
                    inside, iterations=2
                )
                brighter.append(view.pixels[inside].mean() - view.pixels[ring].mean())
    assert len(brighter) > 10
    assert np.mean(np.array(brighter) > 0) > 0.9


def test_before_a_malignant_lesion_was_smaller_or_absent_and_a_benign_one_mostly_as_large() -> None:
    absent: dict[LesionClass, list[bool]] = {BENIGN: [], MALIGNANT: []}
    for before, now in breasts_with_priors(range(12)):
        assert before.label in (NORMAL, now.label)
        assert bool(before.mask.any()) == (before.label is not NORMAL)
        absent[now.label].append(before.label is NORMAL)
    # Over many lesions, as documented: 40 % and 10 % absent, malignant ones smaller.
    breast = draw_breast(np.random.default_rng(1), np.random.default_rng(2), Density.B)
    for label, missing, still in ((MALIGNANT, 0.40, 0.15), (BENIGN, 0.10, 0.78)):
        lesions = [draw_lesion((seed, 0), breast, label) for seed in range(400)]
        older = [earlier(lesion) for lesion in lesions]
        assert abs(np.mean([o is None for o in older]) - missing) < 0.08
        ratio = [o.radii.behind / now.radii.behind for now, o in zip(lesions, older, strict=True) if o]
        assert abs(np.mean(np.array(ratio) >= 0.9) - still / (1 - missing)) < 0.08
    assert sum(absent[MALIGNANT]) > sum(absent[BENIGN])


def test_both_dates_show_the_same_breast() -> None:
    def about_the_nipple(view: MammogramView) -> np.ndarray:
        row, col = (round(float(value)) for value in view.nipple)
        inwards = view.pixels if view.laterality is Laterality.R else view.pixels[:, ::-1]
        start = col if view.laterality is Laterality.R else SMALL[1] - 1 - col
        return ndimage.gaussian_filter(inwards, 1.0)[row - 20 : row + 20, start + 8 : start + 34]

    same, else_ = [], []
    for seed in (11, 12, 13):
        kept = exam(seed, classes=(NORMAL, NORMAL), prior=True, machine=Machine.ALPHA, density=Density.C)
        other = exam(seed + 50, classes=(NORMAL, NORMAL), machine=Machine.ALPHA, density=Density.C)
        for older, now, stranger in zip(kept[:4], kept[4:], other, strict=True):
            for views, found in ((older, same), (stranger, else_)):
                pair = [about_the_nipple(view).ravel() for view in (views, now)]
                found.append(np.corrcoef(*pair)[0, 1])
    assert np.mean(same) > 0.75
    assert np.mean(else_) < 0.5


def test_a_superposition_is_in_one_view_and_is_no_lesion() -> None:
    seen = 0
    for seed in range(10):
        views = exam(seed, (64, 64), classes=(NORMAL, NORMAL))
        for cc, mlo in (views[:2], views[2:]):
            assert not (cc.superposition and mlo.superposition)
            assert (int(cc.mask.max()), int(mlo.mask.max())) == (0, 0)
            assert cc.label is mlo.label is NORMAL
            assert (cc.lesion, cc.lesion_type) == (None, None)
            seen += cc.superposition + mlo.superposition
    assert 4 <= seen <= 16
    breast = draw_breast(np.random.default_rng(1), np.random.default_rng(2), Density.B)
    share = [draw_superposition((s, 0), breast, normal=True) is not None for s in range(400)]
    assert abs(np.mean(share) - 0.5) < 0.08


def test_looks_tell_the_classes_apart_but_not_always() -> None:
    breast = draw_breast(np.random.default_rng(1), np.random.default_rng(2), Density.B)
    of = {
        label: np.array(
            [list(draw_lesion((seed, 1), breast, label).suspicion.values()) for seed in range(400)]
        )
        for label in (BENIGN, MALIGNANT)
    }

    def auc(benign: np.ndarray, malignant: np.ndarray) -> float:
        return float((malignant[:, None] > benign[None, :]).mean())

    one = auc(of[BENIGN][:, 0], of[MALIGNANT][:, 0])
    two = auc(of[BENIGN].mean(axis=1), of[MALIGNANT].mean(axis=1))
    assert 0.80 < one < 0.93
    assert one + 0.01 < two < 0.96


def test_brightness_rises_with_density() -> None:
    def brightness(density: Density) -> float:
        means = []
        for seed in range(4):
            for view in exam(seed, classes=(NORMAL, NORMAL), density=density, machine=Machine.ALPHA):
                inside = view.pixels > 0.1 * 2**12
                means.append(view.pixels[inside].mean())
        return float(np.mean(means))

    values = [brightness(density) for density in Density]
    assert values == sorted(values)
    assert values[-1] > 1.15 * values[0]


def test_machines_differ_in_range_and_pixels_stay_within_theirs() -> None:
    for machine in Machine:
        view = exam(1, (64, 64), machine=machine)[0]
        top = 2**machine.style.bits - 1
        assert view.pixels.dtype == np.float32
        assert 0 <= view.pixels.min() < 0.1 * top
        assert 0.4 * top < view.pixels.max() <= top
        np.testing.assert_array_equal(view.pixels, np.rint(view.pixels))
        assert view.spacing_mm == pytest.approx(machine.style.field_mm / 64, rel=1e-4)
    assert {machine.style.inverted for machine in Machine} == {True, False}
    assert {machine.style.bits for machine in Machine} == {12, 14}


def test_two_fifths_of_the_breasts_are_normal_and_a_third_of_the_patients_has_a_prior() -> None:
    views = [mammogram_exam(seed, shape=(64, 64)) for seed in range(24)]
    labels = [view.label for four in views for view in four[-4::2]]
    assert 0.25 < np.mean([label is NORMAL for label in labels]) < 0.55
    assert {BENIGN, MALIGNANT} < set(labels)
    assert 0.15 < np.mean([len(four) == 8 for four in views]) < 0.55


def test_a_small_exam_is_quick() -> None:
    exam(1, (256, 208))
    start = time.process_time()
    exam(2, (256, 208))
    assert time.process_time() - start < 0.5


def test_impossible_exams_are_refused() -> None:
    with pytest.raises(StudiesError, match="at least 64 x 64 pixels is required; got 60 x 80"):
        mammogram_exam(1, shape=(60, 80))
    with pytest.raises(StudiesError, match="a seed of 0 or more is required; got -1"):
        mammogram_exam(-1)
    with pytest.raises(StudiesError, match="a class for each of two breasts is required; got 1"):
        mammogram_exam(1, classes=[BENIGN])
