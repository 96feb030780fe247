import pytest
import torch

from breastlabel.errors import UnknownNameError
from breastlabel.networks import EFFICIENT_ULTRASOUND, TEXTURE_NAMES, UltrasoundHybrid


def tiny(**arguments) -> UltrasoundHybrid:
    return UltrasoundHybrid(**{"widths": (4, 8), "recurrent_hidden": 4, **arguments})


def test_defaults_are_those_of_the_paper():
    config = UltrasoundHybrid().config()
    assert config["widths"] == [32, 64, 128]
    assert config["convs_per_block"] == 1
    assert config["recurrence"] == "lstm"
    assert config["gabor"] is config["texture"] is True
    assert config["dropout"] == 0.5
    assert UltrasoundHybrid().stride == 8


def test_gabor_gives_the_encoder_four_channels():
    assert tiny().encoder.blocks[0].convs[0].in_channels == 4
    assert tiny(gabor=False).encoder.blocks[0].convs[0].in_channels == 1


def test_without_recurrence_the_deepest_map_is_the_encoders():
    network = tiny(recurrence=None).eval()
    image = torch.rand(1, 1, 16, 16)
    assert torch.equal(network.encode(image)[-1], network.encoder(network.gabor(image))[-1])
    assert network.recurrence is None


def test_texture_widens_the_class_layer_by_its_features():
    with_texture = tiny().class_head.project.in_features
    assert with_texture - tiny(texture=False).class_head.project.in_features == len(TEXTURE_NAMES)


def test_stem_stride_halves_every_map_and_leaves_the_mask_whole():
    image = torch.rand(1, 1, 32, 32)
    sizes = [f.shape[-1] for f in tiny(stem_stride=2).eval().encode(image)]
    assert sizes == [16, 8, 4]
    assert tiny(stem_stride=2)(torch.rand(2, 1, 32, 32)).mask_logits.shape[-1] == 32


def test_mask_starts_near_the_share_of_an_image_that_a_lesion_has():
    probability = torch.sigmoid(tiny().eval()(torch.rand(4, 1, 32, 32)).mask_logits)
    assert 0.02 < probability.mean().item() < 0.35


def test_classes_start_nearly_equal():
    probability = torch.softmax(tiny(dropout=0.0)(torch.rand(4, 1, 32, 32)).class_logits, dim=1)
    assert (probability - 1 / 3).abs().max() < 0.2


def test_fewer_classes_can_be_asked_for():
    assert tiny(n_classes=2)(torch.rand(2, 1, 16, 16)).class_logits.shape == (2, 2)


@pytest.mark.parametrize("joint", [False, True])
def test_class_loss_moves_the_mask_layer_only_where_asked(joint):
    network = tiny(mask_pooling=True, mask_gradient=joint)
    network(torch.rand(2, 1, 16, 16)).class_logits.square().sum().backward()
    gradient = network.mask_head.project.weight.grad
    assert (gradient is not None) == joint


def test_unknown_recurrence_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match="recurrence must be one of gru, lstm; got 'rnn'"):
        tiny(recurrence="rnn")


def test_efficient_preset_builds_and_outlines_at_full_size():
    network = UltrasoundHybrid(**EFFICIENT_ULTRASOUND).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 64, 64)).mask_logits.shape == (1, 1, 64, 64)
    assert 224 % network.stride == 192 % network.stride == 160 % network.stride == 0
