import pytest
import torch
from torch import nn

from breastlabel.errors import UnknownNameError
from breastlabel.networks.trunk import ImageTrunk


def blocks(**arguments):
    return ImageTrunk("blocks", widths=[4, 8], **arguments)


@pytest.mark.parametrize("encoder", ["blocks", "test_resnet", "test_efficientnet"])
@pytest.mark.parametrize("normalisation", ["batch", "frozen", "group"])
def test_the_map_has_the_published_channels_and_reduction(encoder, normalisation):
    pytest.importorskip("timm")
    trunk = ImageTrunk(encoder, widths=[4, 8], normalisation=normalisation)
    size = 4 * trunk.reduction
    assert trunk(torch.rand(2, 1, size, size)).shape == (2, trunk.out_channels, 4, 4)


def statistics(module):
    return [layer.running_mean.clone() for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_frozen_normalisation_keeps_its_statistics_but_learns_its_scale():
    trunk = blocks(normalisation="frozen").train()
    before = statistics(trunk)
    trunk(torch.rand(2, 1, 16, 16)).square().sum().backward()
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(trunk), strict=True))
    assert all(p.grad is not None for p in trunk.parameters())
    assert trunk.training


@pytest.mark.parametrize("encoder", ["blocks", "test_resnet", "test_efficientnet"])
def test_group_normalisation_leaves_no_batch_normalisation(encoder):
    pytest.importorskip("timm")
    trunk = ImageTrunk(encoder, widths=[4, 8], normalisation="group").train()
    assert statistics(trunk) == []
    images = torch.rand(2, 1, 64, 64)
    # The others of a batch do not matter, in training neither.
    torch.testing.assert_close(trunk(images)[:1], trunk(images[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoder", ["blocks", "test_resnet"])
def test_checkpointing_changes_nothing_but_the_memory(encoder):
    pytest.importorskip("timm")
    torch.manual_seed(1)
    plain = ImageTrunk(encoder, widths=[4, 8])
    thrifty = ImageTrunk(encoder, widths=[4, 8], checkpointing=True)
    thrifty.load_state_dict(plain.state_dict())
    images = torch.rand(2, 1, 64, 64)
    kept = []
    for trunk in (plain, thrifty):
        n = 0

        def count(tensor):
            nonlocal n
            n += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            out = trunk(images)
        out.square().sum().backward()
        kept.append(n)
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    # timm keeps the maps of its first and last stage.
    assert kept[1] < 0.75 * kept[0]


def test_unknown_names_are_refused():
    with pytest.raises(
        UnknownNameError, match="normalisation must be one of batch, frozen, group; got 'layer'"
    ):
        blocks(normalisation="layer")
    with pytest.raises(UnknownNameError, match="encoder must be one of"):
        ImageTrunk("resnet81")
