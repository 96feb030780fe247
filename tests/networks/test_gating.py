import math

import pytest
import torch
from torch.nn import functional as F

from breastlabel.networks.gating import MEASURES, crop_grid, lesion_measures, lesion_summary, mean_under


def outline(size: int, top: int, left: int, height: int, width: int) -> torch.Tensor:
    lesion = torch.zeros(1, 1, size, size)
    lesion[..., top : top + height, left : left + width] = 1
    return lesion


def test_mean_under_sees_the_lesion_alone():
    lesion = outline(16, 4, 4, 4, 4)
    features = torch.full((1, 2, 16, 16), 7.0)
    features[..., 4:8, 4:8] = 2.0
    torch.testing.assert_close(mean_under(lesion, features), torch.full((1, 2), 2.0 * 16 / 17))


def test_without_a_lesion_mean_under_is_zero():
    assert not bool(mean_under(torch.zeros(1, 1, 8, 8), torch.rand(1, 3, 4, 4)).any())


def test_crop_is_centred_on_the_lesion_and_holds_it():
    lesion = outline(64, 40, 8, 8, 12)
    window = F.grid_sample(lesion, crop_grid(lesion, (16, 16)), align_corners=False)
    # 2.5 standard deviations of a uniform bar of length L are 0.72 L each way: L / 1.44 L of the window.
    assert 0.35 < window.mean().item() < 0.6
    assert window[..., 7:9, 7:9].min() > 0.9
    assert window[..., 0, :].max() < 0.1
    torch.testing.assert_close(window, window.flip(-1), atol=1e-3, rtol=0)


def test_without_a_lesion_the_crop_is_the_whole_image():
    image = torch.rand(1, 1, 8, 8)
    window = F.grid_sample(image, crop_grid(torch.zeros(1, 1, 32, 32), (8, 8)), align_corners=False)
    torch.testing.assert_close(window, image, atol=1e-4, rtol=0)


def test_the_crop_can_be_learned():
    lesion = (0.2 + 0.5 * torch.rand(1, 1, 16, 16)).requires_grad_()
    F.grid_sample(torch.rand(1, 1, 16, 16), crop_grid(lesion, (4, 4)), align_corners=False).sum().backward()
    assert bool(lesion.grad.abs().sum() > 0)


def test_summary_is_share_and_peak():
    lesion = outline(8, 0, 0, 2, 4) * 0.5
    torch.testing.assert_close(lesion_summary(lesion), torch.tensor([[0.5 * 8 / 64, 0.5]]))


def test_measures_say_how_large_how_sure_and_where():
    logits = outline(64, 40, 8, 8, 12) * 16 - 8
    area, surest, x, y, spread = lesion_measures(logits)[0].tolist()
    assert area == pytest.approx(math.log1p(8 * 12), abs=0.01)
    assert surest == pytest.approx(8)
    assert (x, y) == pytest.approx(((8 + 6) / 32 - 1, (40 + 4) / 32 - 1), abs=0.01)
    assert spread == pytest.approx(math.hypot(8, 12) / 12**0.5 / 32, abs=0.01)


def test_measures_tell_a_small_lesion_from_none_and_its_turn():
    none = lesion_measures(torch.full((1, 1, 64, 64), -9.0))[0]
    small = lesion_measures(outline(64, 8, 30, 2, 2) * 12 - 9)[0]
    assert none[2:].abs().max() < 0.01
    assert small[0] - none[0] > 1
    turned = lesion_measures((outline(64, 8, 30, 2, 2) * 12 - 9).flip(2))[0]
    torch.testing.assert_close(turned, small * torch.tensor([1, 1, 1, -1, 1.0]), atol=1e-4, rtol=1e-4)


def test_a_map_of_few_positions_has_measures_too():
    assert lesion_measures(torch.zeros(2, 1, 2, 2)).shape == (2, MEASURES)
