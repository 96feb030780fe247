import pytest
import torch
from torch.nn import functional as F

from breastlabel.networks import PixelLogisticRegression


def test_pixel_features_are_grey_local_mean_and_deviation():
    image = torch.rand(1, 1, 12, 10)
    (features,) = PixelLogisticRegression(scales=(3,)).encode(image)
    patch = image[0, 0, 4:7, 2:5]
    expected = torch.stack([image[0, 0, 5, 3], patch.mean(), patch.std(correction=0)])
    torch.testing.assert_close(features[0, :, 5, 3], expected, atol=1e-4, rtol=1e-4)
    assert features.shape == (1, 3, 12, 10)


def test_both_regressions_are_linear_in_their_features():
    network = PixelLogisticRegression(scales=(3, 5))
    assert sum(p.numel() for p in network.parameters()) == (5 + 1) + 3 * (22 + 1)


def test_a_bright_square_is_found():
    torch.manual_seed(0)
    images = torch.rand(4, 1, 24, 24) * 0.3
    masks = torch.zeros_like(images)
    masks[..., 6:14, 8:18] = 1
    images = images + masks * 0.6
    network = PixelLogisticRegression(scales=(3,))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(40):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(network(images).mask_logits, masks).backward()
        optimiser.step()
    found = network.eval()(images).mask_logits > 0
    overlap = 2 * (found & (masks > 0)).sum() / (found.sum() + masks.sum())
    assert overlap.item() > 0.9


@pytest.mark.parametrize("size", [(7, 9), (33, 20)])
def test_any_size_is_taken(size):
    assert PixelLogisticRegression(scales=(3,))(torch.rand(2, 1, *size)).mask_logits.shape[-2:] == size
