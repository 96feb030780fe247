import json

import numpy as np
import pytest

from breastlabel.findings import Orientation, find_findings
from breastlabel.imaging import LesionClass, Modality

PROBABILITIES = {"normal": 0.2, "benign": 0.6, "malignant": 0.2}


def lesions(shape, *boxes):
    mask = np.zeros(shape, dtype=np.uint8)
    for value, (r0, c0, r1, c1) in boxes:
        mask[r0:r1, c0:c1] = value
    return mask


def find(mask, *, spacing=None, probability=None, **options):
    p = np.full(mask.shape, 0.8, dtype=np.float32) if probability is None else probability
    return find_findings(mask, p, PROBABILITIES, spacing=spacing, **options)


def test_an_empty_mask_has_no_findings():
    assert find(np.zeros((5, 8), np.uint8)) == []


def test_a_rectangle_in_pixels():
    (finding,) = find(lesions((20, 30), (1, (5, 10, 8, 14))))
    assert finding.lesion_class is LesionClass.BENIGN
    assert finding.bounding_box == (5, 10, 8, 14)
    assert finding.centroid == (6.0, 11.5)
    assert (finding.area, finding.area_unit) == (12, "px2")
    assert (finding.long_axis, finding.short_axis, finding.length_unit) == pytest.approx((5, 3, "px"))


def test_a_rectangle_in_millimetres_of_unequal_spacing():
    (finding,) = find(lesions((40, 30), (2, (5, 10, 15, 14))), spacing=(0.3, 1.0))
    assert finding.area == pytest.approx(12)
    assert finding.area_unit == "mm2"
    assert (finding.long_axis, finding.short_axis) == pytest.approx((5, 3))
    assert finding.length_unit == "mm"
    # 3 mm tall, 4 mm wide, although it is 10 pixels tall and 4 wide.
    assert finding.orientation is Orientation.PARALLEL
    (in_pixels,) = find(lesions((40, 30), (2, (5, 10, 15, 14))))
    assert in_pixels.orientation is Orientation.NOT_PARALLEL


def test_a_square_is_not_parallel_and_a_mammogram_has_no_orientation():
    mask = lesions((20, 20), (1, (5, 5, 9, 9)))
    assert find(mask)[0].orientation is Orientation.NOT_PARALLEL
    assert find(mask, modality=Modality.MG)[0].orientation is None


def test_largest_first_across_classes():
    mask = lesions((30, 30), (1, (0, 0, 2, 2)), (2, (5, 5, 15, 15)), (1, (20, 20, 24, 24)))
    assert [f.area for f in find(mask)] == [100, 16, 4]
    assert [f.lesion_class for f in find(mask)] == [2, 1, 1]


def test_pixels_that_touch_at_a_corner_are_one_lesion_but_two_classes_are_two():
    assert len(find(np.eye(4, dtype=np.uint8))) == 1
    assert len(find(lesions((4, 8), (1, (0, 0, 4, 4)), (2, (0, 4, 4, 8))))) == 2


def test_class_probability_is_conditional_on_a_lesion():
    mask = lesions((10, 10), (1, (0, 0, 3, 3)), (2, (6, 6, 8, 8)))
    benign, malignant = find(mask)
    assert benign.probability == pytest.approx(0.75)
    assert malignant.probability == pytest.approx(0.25)


def test_lesion_probability_is_the_mean_over_the_lesions_own_pixels():
    mask = lesions((6, 6), (1, (0, 0, 1, 2)), (1, (4, 4, 6, 6)))
    probability = np.zeros((6, 6), dtype=np.float32)
    probability[0, :2] = (0.6, 0.8)
    probability[4:, 4:] = 1.0
    first, second = find(mask, probability=probability)
    assert first.lesion_probability == pytest.approx(1.0)
    assert second.lesion_probability == pytest.approx(0.7)


def test_uncertainty_of_each_score_where_there_were_passes():
    mask = lesions((6, 6), (1, (0, 0, 2, 2)))
    deviation = np.zeros((6, 6), dtype=np.float32)
    deviation[:2, :2] = 0.25
    scores = {"class_entropy": 0.5, "mutual_information": 0.1, "mask_disagreement": 0.2, "passes": 8.0}
    (finding,) = find(mask, uncertainty=scores, lesion_deviation=deviation)
    assert finding.uncertainty == {
        "class_entropy": 0.5,
        "mutual_information": 0.1,
        "mask_disagreement": 0.2,
        "lesion_probability_deviation": 0.25,
    }
    assert find(mask)[0].uncertainty is None


def test_json_is_plain_and_says_its_units():
    (finding,) = find(lesions((20, 30), (2, (5, 10, 8, 14))), spacing=(0.1, 0.1))
    data = json.loads(json.dumps(finding.to_json()))
    assert data["class"] == "malignant"
    assert data["area"] == 0.12
    assert (data["area_unit"], data["length_unit"]) == ("mm2", "mm")
    assert data["bounding_box"] == [5, 10, 8, 14]
    assert data["type"] is None
    assert data["birads"] is None
    assert data["uncertainty"] is None


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got \(4, 4\) and \(2, 2\)"):
        find(np.zeros((4, 4), np.uint8), probability=np.zeros((2, 2), np.float32))
