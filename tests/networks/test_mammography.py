import json

import pytest
import torch

from breastlabel.errors import InvalidImageError, UnknownNameError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks import (
    EFFICIENT_MAMMOGRAPHY,
    MammographyHybrid,
    create_network,
    dropout_modules,
    network_config,
    stochastic_passes,
)
from breastlabel.training.losses import JointLoss

RECURRENCES = ["lstm", "gru", "bilstm", "transformer", "mean"]
GATED = [
    (gate, fed)
    for gate in ("off", "soft", "crop")
    for fed in ("features", "gated", "images")
    if gate != "off" or fed == "features"
]


def tiny(**arguments) -> MammographyHybrid:
    torch.manual_seed(1)
    return MammographyHybrid(**{"widths": (4, 8), "recurrent_hidden": 8, **arguments})


def breasts(*lengths: int, size: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, sequence and context of breasts with so many images each."""
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return torch.rand(len(sequence), 1, size, size), sequence, torch.rand(len(sequence), CONTEXT_SIZE)


def joint_loss(output, *, has_mask=True, labelled=True) -> torch.Tensor:
    n, b = len(output.mask_logits), len(output.class_logits)
    masks = torch.zeros_like(output.mask_logits)
    masks[..., 4:12, 4:12] = 1
    labels = torch.arange(b) % 3 if labelled else torch.full((b,), -1)
    return JointLoss()(
        output.mask_logits,
        output.class_logits,
        masks=masks,
        has_mask=torch.full((n,), has_mask),
        labels=labels,
    ).total


def untouched(network: MammographyHybrid) -> list[str]:
    return [
        name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)
    ]


def test_defaults_are_those_of_the_paper():
    config = MammographyHybrid().config()
    assert config["widths"][:3] == [32, 64, 128]
    assert config["recurrence"] == "lstm"
    assert config["recurrent_hidden"] == 256
    assert config["dropout"] == 0.5
    assert config["gate"] == "soft"


@pytest.mark.parametrize(("gate", "fed"), GATED)
@pytest.mark.parametrize("mask_gradient", [False, True])
def test_gradients_of_the_joint_loss_reach_every_part(gate, fed, mask_gradient):
    network = tiny(gate=gate, sequence_input=fed, mask_gradient=mask_gradient, dropout=0.0, mask_dropout=0.0)
    images, sequence, context = breasts(1, 3, 2)
    joint_loss(network(images, sequence, context)).backward()
    assert untouched(network) == []


@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("shortcut", [False, True])
def test_gradients_reach_every_recurrence(recurrence, shortcut):
    network = tiny(recurrence=recurrence, shortcut=shortcut, dropout=0.0, mask_dropout=0.0)
    images, sequence, context = breasts(1, 3, 2)
    joint_loss(network(images, sequence, context)).backward()
    assert untouched(network) == []


@pytest.mark.parametrize("fed", ["features", "gated", "images"])
@pytest.mark.parametrize("mask_gradient", [False, True])
def test_gradients_reach_every_part_beside_measures(fed, mask_gradient):
    network = tiny(
        measures=True,
        norm_steps=True,
        sequence_input=fed,
        mask_gradient=mask_gradient,
        dropout=0.0,
        mask_dropout=0.0,
    )
    images, sequence, context = breasts(1, 3, 2)
    joint_loss(network(images, sequence, context)).backward()
    assert untouched(network) == []


@pytest.mark.parametrize("gate", ["soft", "crop"])
def test_class_loss_moves_the_mask_layer_only_where_asked(gate):
    for asked in (False, True):
        network = tiny(gate=gate, mask_gradient=asked, measures=True)
        images, sequence, context = breasts(2, 1)
        network(images, sequence, context).class_logits.square().sum().backward()
        gradient = network.mask_head.project.weight.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == asked


@pytest.mark.parametrize("gate", ["off", "soft", "crop"])
def test_an_image_without_a_mask_does_not_train_the_mask_head(gate):
    network = tiny(gate=gate)
    images, sequence, context = breasts(2, 1)
    joint_loss(network(images, sequence, context), has_mask=False).backward()
    for parameter in network.mask_head.parameters():
        assert parameter.grad is None or not bool(parameter.grad.any())
    encoder = network.encoder.blocks[0].convs[0].weight
    assert bool(encoder.grad.any())


def test_a_breast_without_a_class_does_not_train_the_dense_layer():
    network = tiny()
    images, sequence, context = breasts(2, 1)
    joint_loss(network(images, sequence, context), labelled=False).backward()
    assert not bool(network.dense.weight.grad.any())
    assert bool(network.mask_head.project.weight.grad.any())


@pytest.mark.parametrize("recurrence", [*RECURRENCES, None])
def test_padding_does_not_leak(recurrence):
    network = tiny(recurrence=recurrence).eval()
    images, sequence, context = breasts(2, 5, 1, 4)
    together = network(images, sequence, context)
    for index in range(4):
        own = sequence == index
        alone = network(images[own], torch.zeros(int(own.sum()), dtype=torch.int64), context[own])
        torch.testing.assert_close(together.class_logits[index], alone.class_logits[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_the_gradient_of_a_breast_stops_at_its_own_images(recurrence):
    network = tiny(recurrence=recurrence).eval()
    images, sequence, context = breasts(2, 3)
    images.requires_grad_()
    network(images, sequence, context).class_logits[0].sum().backward()
    gradient = images.grad.abs().flatten(1).sum(1)
    assert bool((gradient[sequence == 0] > 0).all())
    assert not bool(gradient[sequence == 1].any())


@pytest.mark.parametrize("recurrence", ["mean", "transformer"])
def test_order_of_the_images_of_one_date_does_not_matter(recurrence):
    network = tiny(recurrence=recurrence).eval()
    images, sequence, context = breasts(4)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        network(images, sequence, context).class_logits,
        network(images[order], sequence, context[order]).class_logits,
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_transformer_tells_a_recent_prior_from_an_old_one():
    network = tiny(recurrence="transformer").eval()
    images, sequence, context = breasts(2)
    with torch.no_grad():
        # Only the place of the exam may tell: the embedding does not see the context.
        network.aggregation.embed.weight[:, -CONTEXT_SIZE:] = 0
    older = context.clone()
    context[0, 4], older[0, 4] = 0.1, 0.5
    with torch.inference_mode():
        assert not torch.allclose(
            network(images, sequence, context).class_logits, network(images, sequence, older).class_logits
        )


@pytest.mark.parametrize("recurrence", ["lstm", "transformer", "mean"])
def test_another_view_and_the_context_change_the_answer(recurrence):
    network = tiny(recurrence=recurrence).eval()
    images, sequence, context = breasts(2)
    answer = network(images, sequence, context).class_logits
    swapped = images.clone()
    swapped[0] = 1 - images[0]
    assert not torch.allclose(answer, network(swapped, sequence, context).class_logits)
    assert not torch.allclose(answer, network(images, sequence, 0 * context).class_logits)


def test_without_recurrence_only_the_newest_image_is_looked_at():
    network = tiny(recurrence=None).eval()
    assert not network.uses_views
    assert not network.uses_priors
    images, sequence, context = breasts(3)
    answer = network(images, sequence, context).class_logits
    images[:2] = 0
    assert torch.equal(answer, network(images, sequence, context).class_logits)


@pytest.mark.parametrize("lengths", [(1,), (7,), (1, 1, 1), (2, 9, 1)])
def test_any_number_of_images_gives_a_mask_each_and_a_class_a_breast(lengths):
    images, sequence, context = breasts(*lengths)
    output = tiny()(images, sequence, context)
    assert output.mask_logits.shape == images.shape
    assert output.class_logits.shape == (len(lengths), 3)


def test_images_alone_are_breasts_of_one_image():
    network = tiny().eval()
    images = torch.rand(3, 1, 16, 16)
    assert torch.equal(network(images).class_logits, network(images, torch.arange(3)).class_logits)
    assert len(stochastic_passes(network, images, 2)) == 2


def test_the_cnn_alone_outlines_nothing():
    network = tiny(segmentation=False, gate="off", recurrence=None).eval()
    assert not network.outlines
    output = network(torch.rand(2, 1, 16, 16))
    assert output.mask_logits.shape == (2, 1, 16, 16)
    assert bool((output.mask_logits < -10).all())
    assert not any("decoder" in name or "mask" in name for name, _ in network.named_parameters())


@pytest.mark.parametrize("arguments", [{}, {"residual": True, "pool_last": False, "convs_per_block": 2}])
def test_checkpointing_changes_neither_gradients_nor_statistics(arguments):
    images, sequence, context = breasts(2, 1)
    results = []
    for checkpointing in (False, True):
        network = tiny(checkpointing=checkpointing, dropout=0.0, mask_dropout=0.0, **arguments)
        joint_loss(network(images, sequence, context)).backward()
        gradients = {name: p.grad for name, p in network.named_parameters()}
        statistics = {n: b for n, b in network.named_buffers() if "running" in n}
        results.append(gradients | statistics)
    plain, saved = results
    assert plain.keys() == saved.keys()
    for name in plain:
        torch.testing.assert_close(plain[name], saved[name], msg=name)


@pytest.mark.parametrize("arguments", [{}, EFFICIENT_MAMMOGRAPHY, {"recurrence": None, "gate": "crop"}])
def test_configuration_survives_json_and_fits_the_weights(arguments):
    network = MammographyHybrid(**arguments).eval()
    config = json.loads(json.dumps(network_config(network)))
    again = create_network(**config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(again(image).class_logits, network(image).class_logits)


def test_a_timm_backbone_can_be_the_encoder():
    pytest.importorskip("timm")
    network = tiny(encoder="resnet10t", checkpointing=True)
    images, sequence, context = breasts(1, 2, size=32)
    joint_loss(network(images, sequence, context)).backward()
    assert len(dropout_modules(network)) >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate": "hard"}, "gate must be one of crop, off, soft; got 'hard'"),
        ({"sequence_input": "masks"}, "sequence_input must be one of features, gated, images; got 'masks'"),
        ({"recurrence": "rnn"}, "recurrence must be one of bilstm, gru, lstm, mean, transformer; got 'rnn'"),
    ],
)
def test_unknown_names_list_the_valid_ones(arguments, message):
    with pytest.raises(UnknownNameError, match=message):
        tiny(**arguments)


def test_a_gate_needs_an_outline_and_a_gated_input_a_gate():
    with pytest.raises(ValueError, match="gate 'soft' needs an outline"):
        tiny(segmentation=False)
    with pytest.raises(ValueError, match="measures are of the outline that gates"):
        tiny(gate="off", measures=True)
    with pytest.raises(ValueError, match="sequence_input 'images' needs a gate"):
        tiny(gate="off", sequence_input="images")


def test_a_context_of_another_length_is_refused():
    with pytest.raises(InvalidImageError, match=f"a context of {CONTEXT_SIZE} numbers"):
        tiny()(torch.rand(2, 1, 16, 16), context=torch.rand(2, 3))
