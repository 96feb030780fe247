import time

import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.inference.region_growing import grow_regions


def breast(shape=(256, 208)):
    """A half ellipse at the left border, brighter towards the chest wall, with smooth noise."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    distance = ((rows - shape[0] / 2) / (0.45 * shape[0])) ** 2 + (columns / (0.85 * shape[1])) ** 2
    noise = np.random.default_rng(0).normal(0, 0.02, shape).astype(np.float32)
    return np.where(distance < 1, np.clip(0.45 - 0.15 * distance + noise, 0.01, 1), 0).astype(np.float32)


def disc(shape, centre, radii):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("radii", [(7, 7), (12, 8), (16, 16)])
@pytest.mark.parametrize("centre", [(128, 60), (90, 110)])
def test_a_lesion_is_found_and_outlined(radii, centre):
    image = breast()
    lesion = disc(image.shape, centre, radii)
    regions = grow_regions(np.where(lesion, image + 0.25, image))
    assert dice(regions.labels == 1, lesion) > 0.8
    assert (regions.thresholded & lesion).any()
    assert regions.contrast[0] == pytest.approx(0.25, abs=0.08)


def test_two_lesions_are_two_regions_and_the_stronger_is_first():
    image = breast()
    weak, strong = disc(image.shape, (80, 60), (9, 9)), disc(image.shape, (170, 60), (9, 9))
    regions = grow_regions(image + 0.15 * weak + 0.35 * strong)
    assert dice(regions.labels == 1, strong) > 0.8
    assert dice(regions.labels == 2, weak) > 0.8
    assert regions.contrast[0] > regions.contrast[1]
    assert np.array_equal(regions.mask, regions.labels > 0)


def test_without_a_lesion_there_is_nothing():
    assert grow_regions(breast()).n_regions == 0
    for even in (np.zeros((64, 48), np.float32), np.full((64, 48), 0.5, np.float32)):
        regions = grow_regions(even)
        assert regions.n_regions == 0
        assert not regions.mask.any()
        assert not regions.thresholded.any()


def test_a_region_that_fills_the_breast_is_no_lesion():
    image = breast()
    regions = grow_regions(np.where(disc(image.shape, (128, 60), (16, 16)), 0.9, image), largest=0.01)
    assert regions.n_regions == 0


def test_what_is_outside_the_breast_is_left_alone():
    image = breast()
    label = disc(image.shape, (20, 190), (8, 8))
    inside = image > 0
    assert not grow_regions(np.where(label, 1.0, image), breast=inside).mask[~inside].any()


def test_the_answer_is_always_the_same_and_the_image_is_left_alone():
    image = breast() + 0.3 * disc((256, 208), (100, 70), (10, 10)).astype(np.float32)
    before = image.copy()
    first, second = grow_regions(image), grow_regions(image)
    assert np.array_equal(first.labels, second.labels)
    assert first.contrast == second.contrast
    assert np.array_equal(image, before)


def test_a_mammogram_of_1024_by_832_takes_less_than_a_second():
    image = breast((1024, 832))
    for centre in ((300, 200), (600, 300), (750, 150)):
        image = image + 0.25 * disc(image.shape, centre, (50, 45))
    start = time.process_time()
    regions = grow_regions(image.clip(0, 1).astype(np.float32))
    assert time.process_time() - start < 1.0
    assert regions.n_regions == 3


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 8, 8), np.float32), r"\(rows, cols\) is required; got an array of \(2, 8, 8\)"),
        (np.full((8, 8), 255, np.float32), r"\[0, 1\] are required; got 255 to 255"),
        (np.full((8, 8), np.nan, np.float32), r"\[0, 1\] are required; got nan to nan"),
    ],
)
def test_what_is_no_grey_image_is_refused(image, message):
    with pytest.raises(InvalidImageError, match=message):
        grow_regions(image)


def test_a_breast_mask_of_another_size_is_refused():
    with pytest.raises(InvalidImageError, match=r"image's size \(8, 8\); got \(8, 9\)"):
        grow_regions(np.zeros((8, 8), np.float32), breast=np.ones((8, 9), np.bool_))
