import cv2
import numpy as np

from breastlabel.transforms.equalization import equalized_within, locally_equalized_within


def test_equalised_tissue_is_spread_evenly_and_the_rest_is_dark():
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32) ** 1.5
    mask = np.zeros((64, 64), bool)
    mask[:, :40] = True
    image[~mask] = 0
    equalised = equalized_within(image, mask)
    np.testing.assert_allclose(np.percentile(equalised[mask], (10, 50, 90)), (0.1, 0.5, 0.9), atol=0.03)
    assert not equalised[~mask].any()


def test_where_all_is_breast_it_is_plain_clahe():
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.random((128, 128), dtype=np.float32), (0, 0), 4)
    image = (image - image.min()) / np.ptp(image)
    ours = locally_equalized_within(image, np.ones(image.shape, bool), clip=3.0, tiles=4)
    clahe = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(4, 4))
    theirs = clahe.apply(np.rint(image * 255).astype(np.uint8)) / 255
    assert np.abs(ours - theirs).mean() < 0.02


def test_the_dark_around_the_breast_has_no_say_at_its_edge():
    rng = np.random.default_rng(2)
    mask = np.zeros((128, 128), bool)
    mask[:, :70] = True
    image = np.where(mask, 0.2 + 0.1 * rng.random((128, 128)), 0).astype(np.float32)
    ours = locally_equalized_within(image, mask, clip=40.0, tiles=8)
    assert abs(float(ours[:, 64:70].mean()) - float(ours[:, 10:50].mean())) < 0.05


def test_more_tiles_than_pixels_are_no_error():
    image = np.random.default_rng(0).random((5, 6), dtype=np.float32)
    assert locally_equalized_within(image, np.ones((5, 6), bool), tiles=8).shape == (5, 6)
