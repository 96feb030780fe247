import time

import numpy as np
import pytest

from breastlabel.inference.superpixels import refine, superpixel_means


def disk(shape, centre, radius):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 <= radius**2


def test_means_are_those_of_each_segment():
    values = np.array([[0.0, 1.0], [0.2, 0.4]], dtype=np.float32)
    segments = np.array([[0, 0], [1, 1]])
    np.testing.assert_allclose(superpixel_means(values, segments), [[0.5, 0.5], [0.3, 0.3]], atol=1e-7)


def test_a_blurred_mask_is_pulled_to_the_images_edge():
    truth = disk((90, 120), (45, 70), 22)
    pixels = np.where(truth, 40.0, 180.0).astype(np.float32)
    shifted = disk((90, 120), (48, 73), 22).astype(np.float32)
    refined = refine(shifted, pixels, n_segments=200)
    before = np.mean((shifted >= 0.5) != truth)
    after = np.mean((refined >= 0.5) != truth)
    assert after < before


def test_blend_zero_is_the_identity():
    rng = np.random.default_rng(0)
    probability = rng.random((30, 40), dtype=np.float32)
    pixels = rng.random((30, 40), dtype=np.float32)
    np.testing.assert_allclose(refine(probability, pixels, blend=0.0), probability, atol=1e-6)


def test_a_constant_probability_stays_constant_and_the_mean_is_kept():
    rng = np.random.default_rng(1)
    pixels = rng.random((50, 60), dtype=np.float32)
    flat = np.full((50, 60), 0.3, dtype=np.float32)
    np.testing.assert_allclose(refine(flat, pixels), flat, atol=1e-5)
    probability = rng.random((50, 60), dtype=np.float32)
    refined = refine(probability, pixels)
    assert refined.mean() == pytest.approx(probability.mean(), abs=1e-4)
    assert refined.dtype == np.float32


def test_the_unit_of_the_pixels_does_not_matter():
    rng = np.random.default_rng(2)
    pixels = rng.random((40, 40), dtype=np.float32)
    probability = rng.random((40, 40), dtype=np.float32)
    np.testing.assert_allclose(
        refine(probability, pixels), refine(probability, pixels * 4096 - 100), atol=0.02
    )


def test_a_wide_image_costs_no_seconds():
    pixels = np.tile(np.linspace(0, 1, 4096, dtype=np.float32), (1024, 1))
    probability = (pixels > 0.5).astype(np.float32)
    start = time.perf_counter()
    refined = refine(probability, pixels)
    assert time.perf_counter() - start < 2.0
    assert refined.shape == pixels.shape
    assert refined[500, 100] < 0.05
    assert refined[500, 4000] > 0.95


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(3, 2\)"):
        refine(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))
