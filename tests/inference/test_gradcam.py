import numpy as np
import pytest
import torch

from breastlabel.inference.gradcam import (
    class_heat_map,
    grad_cam,
    peak_in_lesion,
    thresholded_region,
    unit_heat,
)


def test_maps_are_weighted_by_their_mean_gradients_and_rectified():
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 1.0]]]])
    gradients = torch.tensor([[[[2.0, 0.0]], [[-1.0, -1.0]]]])
    # Weights 1 and -1: (1 - 3, 2 - 1), rectified.
    assert grad_cam(maps, gradients).tolist() == [[[0.0, 1.0]]]


def test_heat_scales_to_one_and_zero_stays_zero():
    np.testing.assert_allclose(unit_heat(np.array([[1.0, 4.0]], np.float32)), [[0.25, 1.0]])
    assert unit_heat(np.zeros((2, 2), np.float32)).max() == 0


def test_thresholded_region_is_a_fraction_of_the_maximum():
    heat = np.array([[0.1, 0.4, 0.8]], dtype=np.float32)
    assert thresholded_region(heat, fraction=0.5).tolist() == [[False, True, True]]
    assert not thresholded_region(np.zeros((2, 2), np.float32)).any()


def test_peak_in_lesion():
    heat = np.zeros((4, 6), dtype=np.float32)
    heat[2, 5] = 1
    mask = np.zeros((4, 6), dtype=np.uint8)
    assert not peak_in_lesion(heat, mask)
    mask[2, 5] = 2
    assert peak_in_lesion(heat, mask)
    assert not peak_in_lesion(np.zeros_like(heat), np.ones_like(mask))
    with pytest.raises(ValueError, match="one shape"):
        peak_in_lesion(heat, mask.T)


def test_parameters_get_no_gradients(brightness_network):
    network = brightness_network().eval()
    heat = class_heat_map(network, torch.rand(1, 1, 16, 24), 2)
    assert heat.shape == (16, 24)
    assert all(p.grad is None for p in network.parameters())


def test_a_frozen_network_is_explained_too(brightness_network):
    network = brightness_network().eval().requires_grad_(False)
    assert class_heat_map(network, torch.rand(1, 1, 16, 16), 2).max() == 1


def test_the_predicted_class_is_explained_unless_one_is_named(brightness_network):
    network = brightness_network(bias=(0.0, 0.0, 9.0)).eval()
    image = torch.rand(1, 1, 16, 16)
    np.testing.assert_array_equal(class_heat_map(network, image), class_heat_map(network, image, 2))
