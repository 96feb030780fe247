import numpy as np
import pytest
import torch

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.context import image_context
from breastlabel.imaging.vocabulary import ViewPosition
from breastlabel.inference.sequence_passes import sequence_heat_maps
from breastlabel.networks import FusionViewNet
from breastlabel.networks.sequences import SequenceBatch

CC, MLO = ViewPosition.CC, ViewPosition.MLO


def tiny(**arguments):
    defaults = {"backbone": "cnn", "joined": [16, 16], "widths": [4, 8], "dense": 8}
    network = FusionViewNet(**{**defaults, **arguments}).eval()
    with torch.no_grad():
        network.classify.weight.normal_()
    return network


def batch(*views, prior=(), sequence=None, size=(16, 8)):
    """Images that are even, the first of grey 0.1, the second of 0.2, and so on."""
    images = torch.stack([torch.full((1, *size), (index + 1) / 10) for index in range(len(views))])
    context = np.stack([image_context(view_position=v, is_prior=i in prior) for i, v in enumerate(views)])
    which = torch.zeros(len(views), dtype=torch.int64) if sequence is None else torch.tensor(sequence)
    return SequenceBatch(images, which, torch.from_numpy(context))


def halves(given):
    joined = tiny(scale=False).join(given)
    assert joined.shape == (given.n_sequences, 1, 16, 16)
    return [(round(float(j[0, :, 3].mean()), 3), round(float(j[0, :, 12].mean()), 3)) for j in joined]


@pytest.mark.parametrize(
    ("views", "prior", "expected"),
    [
        ((CC, MLO), (), (0.1, 0.2)),
        ((MLO, CC), (), (0.2, 0.1)),
        ((CC,), (), (0.1, 0.0)),
        ((MLO,), (), (0.0, 0.1)),
        ((None,), (), (0.1, 0.0)),
        ((None, None), (), (0.1, 0.2)),
        ((None, CC), (), (0.2, 0.1)),
        ((None, MLO), (), (0.1, 0.2)),
        ((ViewPosition.ML, MLO), (), (0.1, 0.2)),
        ((CC, CC, MLO), (), (0.2, 0.3)),
        ((CC, MLO, CC), (0, 1), (0.3, 0.0)),
        ((CC, MLO), (0, 1), (0.2, 0.0)),
        ((CC, MLO, None), (), (0.1, 0.2)),
    ],
)
def test_each_view_has_its_half(views, prior, expected):
    assert halves(batch(*views, prior=prior)) == [expected]


def test_the_views_of_one_breast_are_not_joined_with_another():
    assert halves(batch(MLO, CC, MLO, sequence=[0, 1, 1])) == [(0.0, 0.1), (0.2, 0.3)]


def test_views_of_any_size_are_resized_bilinearly_to_the_joined_one():
    given = batch(CC, MLO, size=(40, 40))
    assert halves(given) == [(0.1, 0.2)]
    seam = tiny(scale=False).join(given)[0, 0, 5]
    assert (seam.diff() >= -1e-6).all()


def test_the_joined_image_is_scaled_to_its_own_range():
    joined = tiny().join(batch(CC, MLO))
    assert (float(joined.min()), float(joined.max())) == (0.0, 1.0)
    even = tiny().join(SequenceBatch.singles(torch.zeros(1, 1, 16, 8)))
    assert torch.isfinite(even).all()


def test_the_order_of_the_views_does_not_matter():
    network = tiny()
    pixels = torch.rand(2, 1, 16, 8)
    given = batch(CC, MLO)
    with torch.inference_mode():
        one = network(pixels, given.sequence, given.context).class_logits
        other = network(pixels.flip(0), given.sequence, given.context.flip(0)).class_logits
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("view", [0, 1])
def test_both_views_count(view):
    network = tiny()
    pixels = torch.rand(2, 1, 16, 8)
    given = batch(CC, MLO)
    changed = pixels.clone()
    changed[view] = torch.rand(1, 16, 8)
    with torch.inference_mode():
        before = network(pixels, given.sequence, given.context).class_logits
        after = network(changed, given.sequence, given.context).class_logits
    assert not torch.allclose(before, after)


def test_the_heat_of_an_image_lies_in_the_image_and_not_in_the_black_half():
    network = tiny()
    image = torch.rand(1, 1, 16, 8)
    blank, own = network.encode(image)
    assert own.shape == blank.shape == (1, 8, 4, 2)
    joined = network.trunk(network.join(SequenceBatch.singles(image)))
    assert torch.equal(joined, torch.cat([own, blank], dim=3))


def test_two_views_have_a_heat_map_each():
    network = tiny(scale=False)
    given = batch(CC, MLO)._replace(images=torch.rand(2, 1, 16, 8))
    heats = np.max([sequence_heat_maps(network, given, index) for index in range(3)], axis=0)
    assert heats.shape == (2, 16, 8)
    assert (heats.max(axis=(1, 2)) > 0).all()


def test_without_arguments_it_is_the_papers():
    pytest.importorskip("timm")
    network = FusionViewNet()
    assert network.config()["backbone"] == "resnet18"
    assert network.joined == (256, 256)
    with torch.inference_mode():
        assert network.eval()(torch.rand(1, 1, 128, 64)).class_logits.shape == (1, 3)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"divisible by 4 and columns divisible by 8; got \(16, 12\)"):
        tiny(joined=[16, 12])
    with pytest.raises(UnknownNameError, match="encoder must be one of"):
        tiny(backbone="resnet81")
