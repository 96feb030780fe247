"""Perona-Malik diffusion: smooths within regions, keeps their edges."""

import numpy as np
import pytest

from breastlabel.transforms.diffusion import perona_malik


def step_image(seed: int = 0) -> np.ndarray:
    image = np.full((40, 40), 0.2, np.float32)
    image[:, 20:] = 0.8
    return image + np.random.default_rng(seed).normal(0, 0.03, image.shape).astype(np.float32)


def test_one_step_follows_the_definition():
    image = np.array([[0.0, 0.1, 0.0]], np.float32)
    flux = 0.2 * 0.1 * np.exp(-1.0)  # step * difference * g(difference / kappa)
    smoothed = perona_malik(image, iterations=1, kappa=0.1, step=0.2)
    np.testing.assert_allclose(smoothed, [[flux, 0.1 - 2 * flux, flux]], rtol=1e-5)


def test_noise_falls_and_the_edge_stays():
    image = step_image()
    smoothed = perona_malik(image, iterations=20)
    assert smoothed[:, 2:18].std() < image[:, 2:18].std() / 2
    assert smoothed[:, 20].mean() - smoothed[:, 19].mean() > 0.55


def test_mean_is_kept_and_the_range_never_widens():
    image = step_image()
    smoothed = perona_malik(image, iterations=50, kappa=1.0, step=0.25)
    assert smoothed.mean() == pytest.approx(image.mean(), abs=1e-5)
    assert smoothed.min() >= image.min() - 1e-6
    assert smoothed.max() <= image.max() + 1e-6


def test_input_is_not_changed_and_no_iteration_is_the_identity():
    image = step_image()
    before = image.copy()
    np.testing.assert_array_equal(perona_malik(image, iterations=0), before)
    perona_malik(image, iterations=2)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("step", [0.0, 0.26])
def test_unstable_step_is_refused(step):
    with pytest.raises(ValueError, match=r"must lie in \(0, 0.25\] to be stable; got"):
        perona_malik(step_image(), step=step)


def test_kappa_must_be_positive():
    with pytest.raises(ValueError, match="kappa must be above 0; got 0"):
        perona_malik(step_image(), kappa=0)
