import numpy as np
import pytest

from breastlabel.findings import Comparison, Finding, changes, find_findings
from breastlabel.findings.matching import FARTHEST, BreastFrame, breast_frame
from breastlabel.imaging import LesionClass, Modality

WHOLE = BreastFrame((0, 0, 100, 100))


def lesion(row, col, *, long_axis=10.0, area=80.0, unit="mm"):
    return Finding(
        lesion_class=LesionClass.MALIGNANT,
        probability=0.9,
        lesion_probability=0.9,
        area=area,
        area_unit=f"{unit}2",
        bounding_box=(0, 0, 1, 1),
        centroid=(row, col),
        long_axis=long_axis,
        short_axis=long_axis / 2,
        length_unit=unit,
    )


def compare(now, before, *, frame=WHOLE, prior_frame=WHOLE, **known):
    return changes(now, before, frame=frame, prior_frame=prior_frame, prior=0, **known)


def test_growth_is_in_millimetres_and_percent_of_what_it_was():
    (change,) = compare([lesion(50, 50, long_axis=12, area=100)], [lesion(50, 50)], months=13)
    assert change.comparison is Comparison.COMPARED
    assert change.months == 13
    assert change.long_axis_mm == pytest.approx(2.0)
    assert change.long_axis_percent == pytest.approx(20.0)
    assert change.area_mm2 == pytest.approx(20.0)
    assert change.area_percent == pytest.approx(25.0)


def test_shrinking_is_negative():
    (change,) = compare([lesion(50, 50, long_axis=5, area=20)], [lesion(50, 50)])
    assert change.long_axis_percent == pytest.approx(-50.0)
    assert change.area_percent == pytest.approx(-75.0)


def test_sizes_are_compared_in_millimetres_whatever_the_pixels_are():
    # The same disk of 8 mm, on pixels of 0.5 mm and of 0.25 mm.
    rows, cols = np.mgrid[:80, :80] * 0.5
    coarse = ((rows - 20) ** 2 + (cols - 20) ** 2 <= 16).astype(np.uint8)
    fine = np.kron(coarse, np.ones((2, 2), np.uint8))
    found = [
        find_findings(
            mask, mask.astype(np.float32), {"benign": 0.5, "malignant": 0.1},
            spacing=(size, size), modality=Modality.MG,
        )
        for mask, size in ((coarse, 0.5), (fine, 0.25))
    ]  # fmt: skip
    assert found[0][0].orientation is None
    (change,) = changes(
        found[1],
        found[0],
        frame=BreastFrame((0, 0, 160, 160)),
        prior_frame=BreastFrame((0, 0, 80, 80)),
        prior=0,
    )
    assert change.long_axis_mm == pytest.approx(0.0, abs=1e-9)
    assert change.area_percent == pytest.approx(0.0, abs=1e-9)


def test_what_has_no_partner_nearby_is_new():
    far = 50 + 100 * FARTHEST + 1
    (change,) = compare([lesion(50, 50)], [lesion(far, 50)])
    assert change.comparison is Comparison.NEW
    assert change.long_axis_mm is None
    (alone,) = compare([lesion(50, 50)], [])
    assert alone.comparison is Comparison.NEW
    (near,) = compare([lesion(50, 50)], [lesion(far - 2, 50)])
    assert near.comparison is Comparison.COMPARED


def test_pairs_are_one_to_one_and_as_many_as_can_be():
    # Taken one after the other, the first would choose 52 and leave the second without a partner.
    now = [lesion(50, 50), lesion(56, 50)]
    before = [lesion(52, 50, long_axis=1.0), lesion(34, 50, long_axis=2.0)]
    long_axes = [10 - change.long_axis_mm for change in compare(now, before)]
    assert long_axes == [2.0, 1.0]


def test_one_prior_lesion_cannot_be_two_of_today():
    kinds = [c.comparison for c in compare([lesion(50, 50), lesion(52, 50)], [lesion(52, 50)])]
    assert sorted(kinds) == [Comparison.COMPARED, Comparison.NEW]


def test_places_are_relative_to_the_breast_and_its_chest_wall():
    # The same place in a breast that lies elsewhere, is half as large, and faces the other way.
    now = lesion(60 - 0.5, 25 - 0.5)
    before = lesion(110 + 30 - 0.5, 200 - 12.5 - 0.5)
    there = BreastFrame((110, 150, 50, 50), chest_wall_right=True)
    assert WHOLE.place(now.centroid) == pytest.approx((0.6, 0.25))
    assert there.place(before.centroid) == pytest.approx((0.6, 0.25))
    (change,) = compare([now], [before], prior_frame=there)
    assert change.comparison is Comparison.COMPARED


def test_unknown_pixel_sizes_are_not_compared():
    for units in (("px", "mm"), ("mm", "px"), ("px", "px")):
        (change,) = compare([lesion(50, 50, unit=units[0])], [lesion(50, 50, unit=units[1])])
        assert change.comparison is Comparison.NOT_COMPARABLE
        assert change.reason == "the size of a pixel is not known in both images"
        assert change.area_mm2 is None


def test_the_breast_is_found_and_else_the_whole_image_stands_for_it():
    pixels = np.zeros((200, 160), np.float32)
    rows, cols = np.mgrid[:200, :160]
    breast = ((rows - 100) / 70) ** 2 + ((cols - 160) / 90) ** 2 <= 1
    pixels[breast] = 100 + (rows[breast] % 7)
    frame = breast_frame(pixels)
    assert frame.chest_wall_right
    top, left, height, width = frame.box
    assert abs(top - 30) <= 4
    assert abs(left - 70) <= 4
    assert abs(height - 140) <= 8
    assert left + width == 160
    assert breast_frame(np.eye(8, dtype=np.float32)).box == (0, 0, 8, 8)


def test_json_is_rounded_and_plain():
    (change,) = compare([lesion(50, 50, long_axis=10 / 3)], [lesion(50, 50, long_axis=3)], months=6)
    assert change.to_json() == {
        "comparison": "compared",
        "reason": None,
        "prior": 0,
        "months": 6,
        "long_axis_mm": 0.33,
        "long_axis_percent": 11.1,
        "area_mm2": 0.0,
        "area_percent": 0.0,
    }
