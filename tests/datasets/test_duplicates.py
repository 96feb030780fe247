import numpy as np
import pytest
from dataset_trees import scene
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.datasets.duplicates import (
    connected_groups,
    correlation,
    near_duplicate_groups,
    near_duplicate_pairs,
    perceptual_hash,
    thumbnail,
)
from breastlabel.errors import StudiesError


def flipped(code, n):
    """The code with its first n bits changed."""
    other = code.copy()
    other[:n] = ~other[:n]
    return other


CODE = np.random.default_rng(0).random(256) < 0.5


def test_a_hash_ignores_size_brightness_and_contrast():
    pixels = scene(1, (200, 240)).astype(np.float32)
    code = perceptual_hash(pixels)
    assert code.shape == (256,)
    assert np.count_nonzero(code != perceptual_hash(pixels[::2, ::2])) < 20
    assert np.count_nonzero(code != perceptual_hash(0.5 * pixels + 30)) < 10


def test_hashes_of_different_scenes_lie_far_apart():
    codes = [perceptual_hash(scene(seed)) for seed in range(12)]
    distances = [np.count_nonzero(a != b) for i, a in enumerate(codes) for b in codes[:i]]
    assert min(distances) > 64


@pytest.mark.parametrize(
    ("bits", "similarity", "joined"),
    [(64, -1.0, True), (65, 0.49, False), (65, 0.5, True), (96, 0.5, True), (97, 1.0, False)],
)
def test_the_rule_at_its_bounds(bits, similarity, joined):
    codes = np.stack([CODE, flipped(CODE, bits)])
    assert near_duplicate_pairs(codes, similarity=lambda i, j: similarity) == ([(0, 1)] if joined else [])


def test_without_a_second_look_only_the_near_ones_are_joined():
    codes = np.stack([CODE, flipped(CODE, 64), flipped(CODE, 150)])
    assert near_duplicate_groups(codes).tolist() == [0, 0, 1]


def test_groups_are_transitive():
    codes = np.stack([CODE, flipped(CODE, 60), flipped(CODE, 120), flipped(CODE, 200)])
    assert near_duplicate_groups(codes).tolist() == [0, 0, 0, 1]


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_pairs_are_those_of_the_definition(n, seed):
    rng = np.random.default_rng(seed)
    codes = np.stack([flipped(CODE, int(k)) for k in rng.integers(0, 257, n)])
    expected = [
        (i, j) for i in range(n) for j in range(i + 1, n) if np.count_nonzero(codes[i] != codes[j]) <= 64
    ]
    assert sorted(near_duplicate_pairs(codes)) == expected


def test_more_images_than_fit_one_block(monkeypatch):
    monkeypatch.setattr("breastlabel.datasets.duplicates._BLOCK", 3)
    codes = np.stack([flipped(CODE, k * 128 % 256) for k in range(10)])
    assert near_duplicate_groups(codes).tolist() == [0, 1] * 5


def test_another_crop_of_a_frame_correlates_and_another_frame_does_not():
    wide = scene(5, (400, 480))
    crop = wide[:370, 30:]
    assert correlation(thumbnail(wide), thumbnail(crop)) > 0.5
    assert correlation(thumbnail(wide), thumbnail(scene(6, (400, 480)))) < 0.5
    assert correlation(thumbnail(wide), thumbnail(wide)) == pytest.approx(1.0, abs=1e-3)


def test_no_pairs_leave_everyone_alone():
    assert connected_groups(3, []).tolist() == [0, 1, 2]
    assert connected_groups(0, []).tolist() == []


def test_hashes_must_be_stacked():
    with pytest.raises(StudiesError, match="got shape"):
        near_duplicate_pairs(CODE)
