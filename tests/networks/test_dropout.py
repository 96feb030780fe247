import pytest
import torch

from breastlabel.errors import InvalidImageError
from breastlabel.networks import UltrasoundHybrid, dropout_modules, set_dropout, stochastic_passes
from breastlabel.networks.dropout import SampledNetworks


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


@pytest.mark.parametrize("decoder_dropout", [0.0, 0.3])
def test_each_sampled_network_is_the_whole_network_with_its_draw(decoder_dropout):
    """Without dropout nothing is drawn; with it, encoding once changes nothing against running all of it."""
    built, image = network(decoder_dropout=decoder_dropout), torch.rand(2, 1, 16, 16)
    sampled = SampledNetworks(built, 3, seed=4)
    answers = sampled(image)
    with torch.inference_mode():
        torch.testing.assert_close(answers.plain, built(image))
    for index, sample in enumerate(answers.samples):
        hooks = [layer.register_forward_hook(sampled._drop) for layer in dropout_modules(built)]
        sampled._pass = index
        with torch.inference_mode():
            torch.testing.assert_close(sample, built(image))
        sampled._pass = None
        for hook in hooks:
            hook.remove()
    first, *others = answers.samples
    assert any(not torch.equal(first.mask_logits, other.mask_logits) for other in others)
    assert any(not torch.equal(first.class_logits, other.class_logits) for other in others)


@pytest.mark.parametrize("decoder_dropout", [0.0, 0.3])
def test_sampled_networks_are_the_same_for_every_image_and_batch(decoder_dropout):
    built, images = network(decoder_dropout=decoder_dropout), torch.rand(5, 1, 16, 16)
    together = SampledNetworks(built, 3)(images)
    sampled = SampledNetworks(built, 3)
    for i, image in enumerate(images):
        alone = sampled(image[None])
        for one, all_of_them in zip(alone.samples, together.samples, strict=True):
            torch.testing.assert_close(one.mask_logits[0], all_of_them.mask_logits[i])
            torch.testing.assert_close(one.class_logits[0], all_of_them.class_logits[i])
    other = SampledNetworks(built, 3, seed=1)(images)
    assert not torch.equal(other.samples[0].class_logits, together.samples[0].class_logits)


def test_sampled_networks_drop_with_the_layers_odds():
    """Of 8 classes' inputs, dropped with 0.5 by 400 networks: half, and the mean is kept."""
    built = network(texture=False)
    sampled, seen = SampledNetworks(built, 400), []
    built.class_head.project.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    sampled(torch.rand(1, 1, 16, 16))
    plain, *dropped = seen
    kept = torch.cat(dropped)[:, plain[0] != 0] != 0
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(torch.cat(dropped).mean(0), plain[0], rtol=0.25, atol=0.05)


@pytest.mark.parametrize(("decoder_dropout", "decoded"), [(0.0, 1), (0.3, 5)])
def test_only_what_lies_behind_the_first_dropout_is_sampled(decoder_dropout, decoded):
    built, calls = network(decoder_dropout=decoder_dropout), []
    built.encoder.register_forward_hook(lambda *_: calls.append("encode"))
    built.decoder.register_forward_hook(lambda *_: calls.append("decode"))
    state = torch.random.get_rng_state()
    SampledNetworks(built, 4)(torch.rand(2, 1, 16, 16, generator=torch.Generator()))
    assert calls.count("encode") == 1
    assert calls.count("decode") == decoded
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(layer.training or layer._forward_hooks for layer in dropout_modules(built))
