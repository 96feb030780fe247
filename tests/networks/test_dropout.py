import pytest
import torch

from breastlabel.errors import InvalidImageError
from breastlabel.networks import UltrasoundHybrid, dropout_modules, set_dropout, stochastic_passes


def network(**arguments) -> UltrasoundHybrid:
    torch.manual_seed(0)
    return UltrasoundHybrid(
        **{"widths": (4, 8), "recurrent_hidden": 4, "mask_dropout": 0.3, **arguments}
    ).eval()


def test_dropout_sites_are_the_two_heads():
    built = network()
    assert dropout_modules(built) == [built.mask_head.dropout, built.class_head.dropout]
    assert dropout_modules(network(dropout=0.0, mask_dropout=0.0)) == []


def test_switching_dropout_leaves_normalisation_alone():
    built = network()
    set_dropout(built, True)
    assert all(layer.training for layer in dropout_modules(built))
    assert not any(m.training for m in built.modules() if isinstance(m, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("decoder_dropout", [0.0, 0.3])
def test_passes_are_those_of_the_whole_network_with_dropout_on(decoder_dropout):
    built, image = network(decoder_dropout=decoder_dropout), torch.rand(2, 1, 16, 16)
    torch.manual_seed(5)
    passes = stochastic_passes(built, image, 3)
    set_dropout(built, True)
    torch.manual_seed(5)
    with torch.inference_mode():
        naive = [built(image) for _ in range(3)]
    for ours, theirs in zip(passes, naive, strict=True):
        torch.testing.assert_close(ours.mask_logits, theirs.mask_logits)
        torch.testing.assert_close(ours.class_logits, theirs.class_logits)
    assert not torch.equal(passes[0].mask_logits, passes[1].mask_logits)


def test_network_is_encoded_once_and_left_as_it_was():
    built = network()
    calls = []
    built.encoder.register_forward_hook(lambda *_: calls.append(1))
    stochastic_passes(built, torch.rand(1, 1, 16, 16), 4)
    assert len(calls) == 1
    assert not any(layer.training for layer in dropout_modules(built))


def test_indivisible_size_is_refused():
    with pytest.raises(InvalidImageError, match="divisible by 4"):
        stochastic_passes(network(), torch.rand(1, 1, 15, 16), 2)
