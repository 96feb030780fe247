"""Boxes around what is painted, and their agreement."""

import numpy as np
import pytest

from breastlabel.transforms.boxes import box_ious, component_boxes


def test_each_component_has_a_box_of_its_pixels_edges():
    mask = np.zeros((10, 12), np.uint8)
    mask[2:5, 3:9] = 2
    mask[8, 0] = 1
    # Touches at a corner: the same component.
    mask[5, 9] = 2
    assert component_boxes(mask).tolist() == [[2, 3, 6, 10], [8, 0, 9, 1]]
    assert component_boxes(np.zeros((4, 4), bool)).shape == (0, 4)


def test_agreement_is_intersection_over_union():
    first = np.array([[0, 0, 4, 4], [0, 0, 0, 0]], np.float32)
    second = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [5, 5, 6, 6]], np.float32)
    np.testing.assert_allclose(box_ious(first, second), [[1, 4 / 28, 0], [0, 0, 0]], atol=1e-6)
    assert box_ious(np.zeros((0, 4), np.float32), second).shape == (0, 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_box_agrees_with_another_as_it_does_with_this_one(seed):
    corners = np.random.default_rng(seed).uniform(0, 50, (6, 4)).astype(np.float32)
    boxes = np.concatenate([np.minimum(corners[:, :2], corners[:, 2:]), corners.reshape(6, 2, 2).max(1)], 1)
    ious = box_ious(boxes, boxes)
    np.testing.assert_allclose(ious, ious.T)
    np.testing.assert_allclose(np.diag(ious), 1, atol=1e-6)
