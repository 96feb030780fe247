"""The B-spline basis behind smooth random fields."""

import pytest
import torch

from breastlabel.transforms.splines import spline_basis


@pytest.mark.parametrize(("length", "cells"), [(16, 4), (7, 3), (5, 1), (2, 4)])
def test_weights_are_positive_and_sum_to_one(length, cells):
    basis = spline_basis(length, cells)
    assert basis.shape == (length, cells + 3)
    assert (basis >= 0).all()
    torch.testing.assert_close(basis.sum(dim=1), torch.ones(length))


def test_middle_of_a_cell_has_the_known_weights():
    # The uniform cubic B-spline at u = 1/2: 1, 23, 23, 1 over 48.
    torch.testing.assert_close(spline_basis(1, 1)[0] * 48, torch.tensor([1.0, 23.0, 23.0, 1.0]))


def test_linear_control_points_give_a_linear_field():
    # Linear precision: control points at -1, 0, ..., cells + 1 (in cells) reproduce the position.
    field = spline_basis(10, 5) @ torch.arange(-1.0, 7.0)
    torch.testing.assert_close(field, (torch.arange(10) + 0.5) / 2)
