import pytest
import torch

from breastlabel.networks.decoder import UNetDecoder


def maps(*shapes: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.rand(2, channels, size, size) for channels, size in shapes]


def test_result_is_as_fine_as_the_finest_map_and_as_wide_as_published():
    decoder = UNetDecoder((3, 5, 7))
    out = decoder(maps((3, 16), (5, 8), (7, 4)))
    assert out.shape == (2, decoder.out_channels, 16, 16)
    assert decoder.out_channels == 3


def test_every_map_counts():
    decoder = UNetDecoder((3, 5, 7), widths=(6, 4))
    features = [f.requires_grad_() for f in maps((3, 16), (5, 8), (7, 4))]
    decoder(features).square().sum().backward()
    assert all(f.grad is not None and f.grad.abs().sum() > 0 for f in features)


def test_any_ratio_of_sizes_is_bridged():
    assert UNetDecoder((3, 5))(maps((3, 16), (5, 4))).shape[-1] == 16


def test_wrong_number_of_widths_is_refused():
    with pytest.raises(ValueError, match="each of the 2 steps up is required; got 1"):
        UNetDecoder((3, 5, 7), widths=(4,))
