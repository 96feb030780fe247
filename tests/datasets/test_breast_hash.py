"""What tells mammograms apart is inside the breast."""

import cv2
import numpy as np
import pytest

from breastlabel.datasets.breast_hash import BREAST_DISTANCE, breast_hash


def breast(seed, size=256):
    """Random texture in one and the same half disc, as mammograms of different women are."""
    rng = np.random.default_rng(seed)
    noise = sum(
        cv2.resize(rng.normal(size=(n, n)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        for n in (6, 12, 24, 48)
    )
    rows, cols = np.mgrid[:size, :size] / size
    inside = (rows - 0.5) ** 2 * 1.4 + cols**2 < 0.3
    return np.where(inside, 120 + 20 * noise, 4).clip(0, 255).astype(np.float32)


def bits(a, b):
    return int((breast_hash(a) != breast_hash(b)).sum())


def test_different_breasts_of_one_shape_lie_far_apart():
    codes = [breast_hash(breast(seed)) for seed in range(12)]
    distances = [int((a != b).sum()) for k, a in enumerate(codes) for b in codes[:k]]

    assert min(distances) > BREAST_DISTANCE


@pytest.mark.parametrize(
    "alter",
    [
        lambda a: a[::2, ::2],
        lambda a: a * 16,
        lambda a: cv2.resize(a, (180, 220), interpolation=cv2.INTER_AREA),
        lambda a: np.clip(a + np.random.default_rng(1).normal(0, 4, a.shape), 0, 255),
        lambda a: np.pad(a[4:-4, :-6], ((2, 2), (0, 2))),
    ],
    ids=["halved", "16-bit", "squeezed", "noisy", "cropped"],
)
def test_altered_copies_lie_close(alter):
    assert all(bits(breast(seed), alter(breast(seed))) <= BREAST_DISTANCE for seed in range(4))


def test_an_image_without_a_breast_has_a_hash_too():
    assert breast_hash(np.zeros((20, 30), np.float32)).shape == (256,)
