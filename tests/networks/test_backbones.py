import logging
import sys

import pytest
import torch

from breastlabel.errors import (
    CheckpointError,
    InvalidImageError,
    MissingDependencyError,
    NotFoundError,
    UnknownNameError,
)
from breastlabel.networks import UltrasoundHybrid
from breastlabel.networks.backbones import TimmEncoder

SMALL = "test_resnet"


@pytest.fixture
def timm():
    return pytest.importorskip("timm")


@pytest.mark.parametrize("name", [SMALL, "test_convnext"])
@pytest.mark.usefixtures("timm")
def test_any_backbone_carries_the_hybrid(name):
    network = UltrasoundHybrid(encoder=name, recurrent_hidden=4)
    output = network(torch.rand(2, 1, 64, 64))
    assert output.mask_logits.shape == (2, 1, 64, 64)
    (output.mask_logits.mean() + output.class_logits.square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("in_channels", [1, 4])
def test_maps_have_the_published_channels_and_reductions(in_channels):
    encoder = TimmEncoder(SMALL, in_channels).eval()
    features = encoder(torch.rand(1, in_channels, 64, 64))
    assert [f.shape[1] for f in features] == list(encoder.out_channels)
    assert [64 // f.shape[2] for f in features] == list(encoder.reductions)


def test_weights_are_read_from_a_file(timm, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    whole = timm.create_model(SMALL)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    encoder = TimmEncoder(SMALL, 3, pretrained=str(tmp_path / "weights.safetensors"))
    theirs = whole.state_dict()
    ours = {k: v for k, v in encoder.backbone.state_dict().items() if k in theirs}
    assert len(ours) > 10
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())


@pytest.mark.usefixtures("timm")
def test_bad_weight_files_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"'none\.safetensors' does not exist"):
        TimmEncoder(SMALL, 1, pretrained=str(tmp_path / "none.safetensors"))
    with pytest.raises(CheckpointError, match=r"must be a \.safetensors file; got 'w.pth'"):
        TimmEncoder(SMALL, 1, pretrained=str(tmp_path / "w.pth"))
    (tmp_path / "torn.safetensors").write_bytes(b"\x10")
    with pytest.raises(CheckpointError, match=r"must hold timm's weights of 'test_resnet'"):
        TimmEncoder(SMALL, 1, pretrained=str(tmp_path / "torn.safetensors"))


def test_without_internet_it_starts_from_random_weights_and_says_so(timm, monkeypatch, caplog):
    build = timm.create_model

    def offline(name, *, pretrained, **arguments):
        if pretrained:
            raise ConnectionError("no route to host")
        return build(name, pretrained=False, **arguments)

    monkeypatch.setattr(timm, "create_model", offline)
    with caplog.at_level(logging.WARNING):
        network = UltrasoundHybrid(encoder=SMALL, recurrent_hidden=4, pretrained=True)
    assert "test_resnet cannot be had (ConnectionError); it starts from random weights" in caplog.text
    assert network.config()["pretrained"] is False


@pytest.mark.usefixtures("timm")
def test_unknown_encoder_names_near_ones():
    with pytest.raises(
        UnknownNameError, match=r"encoder must be one of .*blocks.*resnet18.*; got 'resnet81'"
    ):
        TimmEncoder("resnet81", 1)


@pytest.mark.usefixtures("timm")
def test_a_size_that_the_backbone_cannot_take_is_refused():
    encoder = TimmEncoder("test_maxvit", 1).eval()
    with pytest.raises(InvalidImageError, match="'test_maxvit' cannot run on images of"):
        encoder(torch.rand(1, 1, 96, 96))


def test_missing_timm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match=r"breastlabel\[timm\]"):
        TimmEncoder(SMALL, 1)
