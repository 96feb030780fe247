import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.findings.axes import feret_diameters


def test_a_rectangle_of_3_by_4_pixels_has_the_diagonal_5_and_the_width_3():
    assert feret_diameters(np.ones((3, 4), bool)) == pytest.approx((5, 3))


def test_one_pixel():
    assert feret_diameters(np.ones((1, 1), bool)) == pytest.approx((np.sqrt(2), 1))
    assert feret_diameters(np.ones((1, 1), bool), spacing=(0.3, 0.4)) == pytest.approx((0.5, 0.3))


def test_anisotropic_spacing_is_exact():
    # 10 rows of 0.3 mm and 4 columns of 1 mm: 3 by 4 mm.
    assert feret_diameters(np.ones((10, 4), bool), spacing=(0.3, 1.0)) == pytest.approx((5, 3))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25)])
def test_an_ellipse_has_its_axes(spacing):
    rows, cols = np.mgrid[:301, :301].astype(float)
    y, x = (rows - 150) * spacing[0], (cols - 150) * spacing[1]
    a, b = 60 * spacing[1], 25 * spacing[1]
    angle = np.deg2rad(30)
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    longest, shortest = feret_diameters((u / a) ** 2 + (v / b) ** 2 <= 1, spacing=spacing)
    assert longest == pytest.approx(2 * a, abs=2 * max(spacing))
    assert shortest == pytest.approx(2 * b, abs=2 * max(spacing))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_no_two_corners_are_farther_apart_and_axes_do_not_depend_on_the_side_seen_from(seed):
    rng = np.random.default_rng(seed)
    region = rng.random((6, 9)) > 0.7
    region[rng.integers(6), rng.integers(9)] = True
    longest, shortest = feret_diameters(region)
    corners = np.argwhere(region)[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    corners = corners.reshape(-1, 2)
    brute = np.sqrt(((corners[:, None] - corners[None]) ** 2).sum(-1)).max()
    assert longest == pytest.approx(brute)
    assert shortest <= min(np.ptp(corners, axis=0)) + 1e-9
    assert feret_diameters(region.T) == pytest.approx((longest, shortest))
    assert feret_diameters(region[::-1]) == pytest.approx((longest, shortest))
