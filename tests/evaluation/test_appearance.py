import numpy as np
import pytest

from breastlabel.evaluation.appearance import border_sharpness, lesion_contrast


@pytest.fixture
def disc() -> np.ndarray:
    rows, cols = np.mgrid[:80, :80]
    return (np.hypot(rows - 40, cols - 40) <= 15).astype(np.uint8)


def test_contrast_of_a_dark_disc_is_its_share_of_the_range(disc):
    pixels = np.where(disc, 40.0, 100.0)
    pixels[0, :], pixels[-1, :] = 0, 200
    assert lesion_contrast(pixels, disc) == pytest.approx(60 / 200)


def test_contrast_needs_a_lesion_and_tissue_around_it():
    assert np.isnan(lesion_contrast(np.eye(8), np.zeros((8, 8))))
    assert np.isnan(lesion_contrast(np.eye(8), np.ones((8, 8))))


def test_a_smooth_step_is_less_sharp_than_a_hard_one(disc):
    rows, cols = np.mgrid[:80, :80]
    distance = np.hypot(rows - 40, cols - 40)
    hard = np.where(disc, 0.0, 1.0)
    soft = 1 / (1 + np.exp(-(distance - 15) / 4))
    assert border_sharpness(hard, disc) == pytest.approx(1)
    assert border_sharpness(soft, disc) < 0.5
