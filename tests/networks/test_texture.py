import time

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.feature import graycomatrix, graycoprops

from breastlabel.networks.texture import TEXTURE_NAMES, FeatureNorm, co_occurrence, texture_features

ANGLES = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]


def images() -> torch.Tensor:
    """Three 8-bit images of different texture, (3, 1, 40, 52) in [0, 1]."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (40, 52))
    ramp = np.linspace(0, 255, 52).astype(int)[None].repeat(40, 0) + generator.integers(0, 20, (40, 52))
    dark = generator.gamma(2.0, 20.0, (40, 52)).astype(int)
    return torch.from_numpy(np.stack([noise, ramp, dark]).clip(0, 255) / 255.0).float()[:, None]


def feature(name: str, batch: torch.Tensor) -> np.ndarray:
    return texture_features(batch)[:, TEXTURE_NAMES.index(name)].numpy()


def reference_matrices(image: torch.Tensor) -> np.ndarray:
    quantised = np.minimum((image[0].numpy() * np.float32(16)).astype(np.uint8), 15)
    return graycomatrix(quantised, [1], ANGLES, levels=16, symmetric=True, normed=True)


def test_there_is_a_name_for_every_feature():
    assert texture_features(images()).shape == (3, len(TEXTURE_NAMES))


def test_co_occurrence_is_that_of_scikit_image():
    for image, matrices in zip(images(), co_occurrence(images()[:, 0]), strict=True):
        expected = reference_matrices(image)[:, :, 0].transpose(2, 0, 1)
        np.testing.assert_allclose(matrices.numpy(), expected, atol=1e-6)


def test_co_occurrence_counted_by_hand():
    grey = torch.tensor([[[0.0, 0.0], [0.5, 0.9]]])
    across = co_occurrence(grey, levels=2)[0, 0]
    # Pairs along the rows: (0, 0) and (1, 1), each counted in both directions.
    torch.testing.assert_close(across, torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
    down = co_occurrence(grey, levels=2)[0, 2]
    torch.testing.assert_close(down, torch.tensor([[0.0, 0.5], [0.5, 0.0]]))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("contrast", "contrast"),
        ("homogeneity", "homogeneity"),
        ("energy", "energy"),
        ("correlation", "correlation"),
        ("asm", "ASM"),
    ],
)
def test_properties_are_those_of_scikit_image(name, theirs):
    expected = np.stack([graycoprops(reference_matrices(image), theirs)[0] for image in images()])
    np.testing.assert_allclose(feature(f"glcm_{name}_mean", images()), expected.mean(1), rtol=1e-4)
    np.testing.assert_allclose(
        feature(f"glcm_{name}_range", images()), np.ptp(expected, axis=1), rtol=1e-3, atol=1e-5
    )


def test_co_occurrence_entropy_follows_its_definition():
    expected = [
        np.mean([stats.entropy(reference_matrices(image)[:, :, 0, angle].ravel()) for angle in range(4)])
        for image in images()
    ]
    np.testing.assert_allclose(feature("glcm_entropy_mean", images()), expected, rtol=1e-4)


def test_moments_are_those_of_scipy():
    flat = images().flatten(1).numpy()
    np.testing.assert_allclose(feature("mean", images()), flat.mean(1), rtol=1e-5)
    np.testing.assert_allclose(feature("std", images()), flat.std(1), rtol=1e-4)
    np.testing.assert_allclose(feature("skewness", images()), stats.skew(flat, axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        feature("kurtosis", images()), stats.kurtosis(flat, axis=1), rtol=1e-3, atol=1e-4
    )


def test_entropy_is_that_of_the_grey_levels():
    levels = (images().flatten(1).numpy() * 255).round().astype(int)
    expected = [stats.entropy(np.bincount(row)) for row in levels]
    np.testing.assert_allclose(feature("entropy", images()), expected, rtol=1e-4)


@pytest.mark.parametrize("percentile", [10, 25, 50, 75, 90])
def test_percentiles_are_exact_to_a_grey_level(percentile):
    expected = np.percentile(images().flatten(1).numpy(), percentile, axis=1)
    np.testing.assert_allclose(feature(f"percentile_{percentile}", images()), expected, atol=1.5 / 256)


def test_a_constant_image_gives_finite_features():
    features = texture_features(torch.full((1, 1, 8, 8), 0.5))[0]
    assert torch.isfinite(features).all()
    assert features[TEXTURE_NAMES.index("glcm_correlation_mean")] == 1.0
    assert features[TEXTURE_NAMES.index("glcm_contrast_mean")] == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_line_of_pixels_gives_finite_features(shape):
    assert torch.isfinite(texture_features(torch.rand(2, 1, *shape))).all()


def test_values_beyond_the_range_are_counted_at_its_ends():
    assert torch.isfinite(texture_features(torch.randn(2, 1, 9, 9) * 3)).all()


def test_there_is_no_gradient_and_autocast_changes_nothing():
    batch = images().requires_grad_()
    plain = texture_features(batch)
    assert not plain.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(texture_features(batch), plain)


def test_an_image_takes_less_than_three_milliseconds():
    batch = torch.rand(4, 1, 224, 224)
    texture_features(batch)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        texture_features(batch)
        best = min(best, time.perf_counter() - start)
    assert best / 4 < 3e-3


def test_norm_of_one_item_uses_the_running_statistics():
    norm = FeatureNorm(3)
    x = torch.rand(1, 3)
    torch.testing.assert_close(norm(x), x / (1 + norm.eps) ** 0.5)
