import pytest
import torch

from breastlabel.networks.blocks import BlockEncoder, ConvBlock


def test_maps_have_the_published_channels_and_reductions():
    for arguments in ({}, {"stem_stride": 2, "pool_last": False}, {"convs_per_block": 2, "residual": True}):
        encoder = BlockEncoder(4, widths=(4, 6, 8), **arguments)
        features = encoder(torch.rand(1, 4, 32, 48))
        assert [f.shape[1] for f in features] == list(encoder.out_channels)
        assert [(32 // f.shape[2], 48 // f.shape[3]) for f in features] == [
            (r, r) for r in encoder.reductions
        ]


def test_papers_encoder_pools_after_every_block():
    assert BlockEncoder(1).reductions == (1, 2, 4, 8)
    assert BlockEncoder(1).out_channels == (32, 64, 128, 128)


def test_last_map_is_the_maximum_of_two_by_two():
    features = BlockEncoder(1, widths=(3,)).eval()(torch.rand(1, 1, 8, 8))
    blocks = features[0].unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).amax(4)
    assert torch.equal(features[1], blocks)


@pytest.mark.parametrize("residual", [False, True])
def test_block_is_never_negative(residual):
    assert (ConvBlock(2, 4, convs=2, residual=residual)(torch.randn(2, 2, 8, 8)) >= 0).all()


def test_residual_block_without_convolution_passes_its_input():
    block = ConvBlock(3, 3, residual=True).eval()
    torch.nn.init.zeros_(block.convs[0].weight)
    x = torch.rand(1, 3, 6, 6)
    assert torch.equal(block(x), x)
