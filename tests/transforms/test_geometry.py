"""Resizing there and back: masks must land on the pixels they came from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.transforms import ResizedGeometry, UltrasoundPreparation

FITS = ["stretch", "letterbox"]


def blob(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (((rows - centre[0]) / radii[0]) ** 2 + ((cols - centre[1]) / radii[1]) ** 2 <= 1).astype(np.uint8)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(60, 260),
    ratio=st.floats(0.6, 2.0),
    where=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    radii=st.tuples(st.floats(0.12, 0.25), st.floats(0.12, 0.25)),
    value=st.sampled_from([1, 2]),
)
def test_mask_returns_to_its_own_pixels(fit, rows, ratio, where, radii, value):
    cols = round(rows * ratio)
    mask = value * blob((rows, cols), (where[0] * rows, where[1] * cols), (radii[0] * rows, radii[1] * cols))
    prep = UltrasoundPreparation(size=(128, 128), fit=fit)
    prepared = prep.mask(mask)
    assert set(np.unique(prepared)) == {0, value}
    restored = prep.geometry(mask.shape).restore((prepared > 0)[None].astype(np.float32))
    assert restored.shape == (1, rows, cols)
    assert restored.dtype == np.float32
    assert dice(restored[0] > 0.5, mask > 0) > 0.96


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (30, 45), (33, 20)])
def test_asymmetric_mask_lands_on_the_right_pixels(fit, shape):
    # The upper right ninth, in a source that is not square.
    rows, cols = shape
    mask = np.zeros(shape, np.uint8)
    mask[: rows // 3, 2 * cols // 3 :] = 2
    geometry = UltrasoundPreparation(size=(48, 48), fit=fit).geometry(shape)
    prepared = geometry.apply_mask(mask)
    top, left, height, width = geometry.window
    expected = np.zeros((48, 48), np.uint8)
    right, bottom = left + width, top + height
    inner = expected[top:bottom, left:right]
    inner[: round(height * (rows // 3) / rows), round(width * (2 * cols // 3) / cols) :] = 2
    np.testing.assert_array_equal(prepared, expected)


def test_halving_averages_pairs_of_pixels():
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    geometry = ResizedGeometry((4, 4), (2, 2))
    np.testing.assert_allclose(geometry.apply(image), [[2.5, 4.5], [10.5, 12.5]])


def test_doubling_interpolates_between_pixel_centres():
    geometry = ResizedGeometry((1, 4), (1, 2))
    restored = geometry.restore(np.array([[[0.0, 4.0]]], np.float32))
    np.testing.assert_allclose(restored, [[[0.0, 1.0, 3.0, 4.0]]])


def test_each_axis_has_the_filter_of_its_own_scale():
    # Rows shrink (mean of the pair), columns grow (interpolated between centres).
    image = np.array([[0.0, 4.0], [2.0, 6.0]], np.float32)
    np.testing.assert_allclose(ResizedGeometry((2, 2), (1, 4)).apply(image), [[1.0, 2.0, 4.0, 5.0]])


def test_same_size_changes_nothing():
    image = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    geometry = ResizedGeometry((20, 30), (20, 30))
    np.testing.assert_array_equal(geometry.apply(image), image)
    np.testing.assert_array_equal(geometry.restore(image[None])[0], image)


def test_letterbox_keeps_proportions_and_pads_with_zeros():
    geometry = ResizedGeometry((50, 100), (64, 64), "letterbox")
    assert geometry.window == (16, 0, 32, 64)
    prepared = geometry.apply(np.ones((50, 100), np.float32))
    np.testing.assert_allclose(prepared[16:48], 1, atol=1e-6)
    assert not prepared[:16].any()
    assert not prepared[48:].any()


def test_letterbox_padding_does_not_come_back():
    geometry = ResizedGeometry((50, 100), (64, 64), "letterbox")
    maps = np.zeros((3, 64, 64), np.float32)
    maps[:, 16:48] = 0.7
    maps[:, :16] = maps[:, 48:] = 1.0
    np.testing.assert_allclose(geometry.restore(maps), 0.7, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_restored_image_resembles_its_source(fit):
    rows, cols = np.mgrid[:120, :80]
    image = (0.5 + 0.4 * np.sin(rows / 15) * np.cos(cols / 10)).astype(np.float32)
    geometry = ResizedGeometry((120, 80), (96, 96), fit)
    np.testing.assert_allclose(geometry.restore(geometry.apply(image)[None])[0], image, atol=0.05)


def test_mask_is_painted_where_half_of_a_pixel_is_covered():
    mask = np.zeros((4, 8), np.uint8)
    mask[:2, :2] = 1  # all of the first prepared pixel
    mask[0, 2:4] = 1  # half of the second
    mask[0, 4] = 1  # a quarter of the third
    prepared = ResizedGeometry((4, 8), (2, 4)).apply_mask(mask)
    np.testing.assert_array_equal(prepared, [[1, 1, 0, 0], [0, 0, 0, 0]])


def test_border_between_two_classes_leaves_no_gap():
    mask = np.zeros((2, 6), np.uint8)
    mask[:, :3], mask[:, 3:] = 1, 2
    mask[1, 3] = 1  # the middle pixel is three quarters benign
    prepared = ResizedGeometry((2, 6), (1, 3)).apply_mask(mask)
    np.testing.assert_array_equal(prepared, [[1, 1, 2]])


@pytest.mark.parametrize("fit", FITS)
def test_small_lesions_are_not_lost(fit):
    mask = np.zeros((300, 200), np.uint8)
    mask[100, 50] = 2
    mask[250:252, 150:152] = 1
    mask[20:60, 20:60] = 1
    prepared = UltrasoundPreparation(size=(32, 32), fit=fit).mask(mask)
    assert (prepared == 2).sum() == 1
    top, left, height, width = ResizedGeometry((300, 200), (32, 32), fit).window
    assert prepared[top + 251 * height // 300, left + 151 * width // 200] == 1


def test_small_lesion_keeps_the_pixel_that_it_covers_most():
    mask = np.zeros((16, 16), np.uint8)
    mask[2, 2:5] = 1  # two pixels in the first cell of four columns, one in the second
    prepared = ResizedGeometry((16, 16), (4, 4)).apply_mask(mask)
    np.testing.assert_array_equal(np.argwhere(prepared), [[0, 0]])


def test_empty_mask_stays_empty():
    assert not UltrasoundPreparation(size=(16, 16)).mask(np.zeros((40, 30), np.uint8)).any()


def test_maps_of_another_size_are_refused():
    geometry = ResizedGeometry((40, 30), (16, 16))
    with pytest.raises(
        InvalidImageError, match=r"\(C, 16, 16\) are required; got an array of shape \(1, 8, 16\)"
    ):
        geometry.restore(np.zeros((1, 8, 16), np.float32))


def test_image_or_mask_of_another_source_is_refused():
    geometry = ResizedGeometry((40, 30), (16, 16))
    with pytest.raises(InvalidImageError, match="40 x 30 pixels is required; got 30 x 40"):
        geometry.apply(np.zeros((30, 40), np.float32))
    with pytest.raises(InvalidLabelError, match="40 x 30 pixels, as its image, is required; got 30 x 40"):
        geometry.apply_mask(np.zeros((30, 40), np.uint8))
