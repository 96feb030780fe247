import pytest
import torch

from breastlabel.errors import InvalidImageError
from breastlabel.networks import MammographyHybrid, UltrasoundHybrid, reach_of, tiled_mask_logits

ARGUMENTS = [
    {"widths": (4, 6)},
    {"widths": (4, 6, 8), "convs_per_block": 2, "residual": True, "stem_stride": 2, "pool_last": False},
]


def network(**arguments) -> MammographyHybrid:
    built = MammographyHybrid(recurrent_hidden=4, **arguments).eval()
    for layer in built.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            # Statistics of their own, as after training.
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return built


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_with_the_networks_reach_as_overlap_tiles_are_the_whole(arguments):
    built = network(**arguments)
    image = torch.rand(1, 1, 96, 128)
    with torch.inference_mode():
        whole = built(image).mask_logits
    tiled = tiled_mask_logits(built, image, tile=(32, 32), overlap=reach_of(built))
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_with_less_overlap_tiles_are_the_whole_away_from_their_borders(arguments):
    built = network(**arguments)
    reach = -(-reach_of(built) // built.stride) * built.stride
    image = torch.rand(1, 1, 4 * reach, 8 * reach)
    with torch.inference_mode():
        whole = built(image).mask_logits
    tile = 4 * reach
    tiled = tiled_mask_logits(built, image, tile=(tile, tile), overlap=0)
    inside = slice(reach, tile - reach)
    torch.testing.assert_close(tiled[..., inside], whole[..., inside], atol=1e-5, rtol=1e-5)
    seam = slice(tile - 2, tile + 2)
    assert not torch.allclose(tiled[..., seam], whole[..., seam], atol=1e-5)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_beyond_the_reach_a_pixel_changes_nothing(arguments):
    built = network(**arguments)
    reach = reach_of(built)
    size = -(-(2 * reach + 20) // built.stride) * built.stride
    image = torch.rand(1, 1, size, size)
    other = image.clone()
    other[..., 0] += 1
    with torch.inference_mode():
        difference = (built(image).mask_logits - built(other).mask_logits).abs()
    assert difference[..., reach + 1 :].max() < 1e-5
    assert difference[..., :2].max() > 1e-5


def test_indivisible_images_and_senseless_tiles_are_refused():
    with pytest.raises(InvalidImageError, match="divisible"):
        tiled_mask_logits(network(widths=(4, 6)), torch.rand(1, 1, 30, 32))
    with pytest.raises(ValueError, match="overlap at least 0; got"):
        tiled_mask_logits(network(widths=(4, 6)), torch.rand(1, 1, 32, 32), overlap=-1)


def test_reach_is_known_of_a_plain_encoder_only():
    with pytest.raises(InvalidImageError, match="choose the overlap"):
        reach_of(network(widths=(4, 6), segmentation=False, gate="off"))
    assert reach_of(UltrasoundHybrid(widths=(4, 6))) > 0
