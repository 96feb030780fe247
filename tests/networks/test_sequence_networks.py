"""What holds for every network that reads the images of a breast together and does not outline."""

import json
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import context as contexts
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.imaging.vocabulary import Density, ViewPosition
from breastlabel.inference.gradcam import class_heat_map
from breastlabel.networks import create_network, dropout_modules, network_config, stochastic_passes

FUSION = {"name": "fusionview", "backbone": "cnn", "joined": [32, 32], "widths": [4, 8], "dense": 8}
CAD = {"name": "cad", "backbone": "blocks", "widths": [4, 8], "convolutions": [8], "dense": 8, "clinical": 4}
SCREENING = {
    "name": "screening",
    "cnn": [4, 6],
    "backbone": "blocks",
    "widths": [4, 8, 8],
    "features": 8,
    "hidden": 6,
}
NETWORKS = {
    "fusionview": FUSION,
    "fusionview, resnet": {**FUSION, "backbone": "test_resnet", "joined": [64, 64]},
    "cad": CAD,
    "cad, image alone": {**CAD, "clinical": 0, "texture": False},
    "screening": SCREENING,
    "screening, gru": {**SCREENING, "recurrence": "gru"},
    "screening, no recurrence": {**SCREENING, "recurrence": None},
    "screening, mean": {**SCREENING, "recurrence": "mean"},
    "screening, cnn alone": {**SCREENING, "backbone": None},
    "screening, timm alone": {**SCREENING, "cnn": None, "backbone": "test_resnet"},
    "screening, checkpointed": {**SCREENING, "checkpointing": True, "normalisation": "group"},
    "screening, invasive": {**SCREENING, "backbone": None, "invasive": True},
    "patch": {"name": "patch", "cnn": [4, 6], "backbone": "blocks", "widths": [4, 8]},
}
every_network = pytest.mark.parametrize("arguments", NETWORKS.values(), ids=NETWORKS.keys())


def context(*views, prior=()):
    rows = [
        contexts.image_context(
            view_position=view,
            age=50 + 3 * index,
            density=list(Density)[index % 4],
            implant=bool(index % 2),
            machine=f"machine {index}",
            is_prior=index in prior,
        )
        for index, view in enumerate(views)
    ]
    return torch.stack([torch.from_numpy(row) for row in rows])


CC, MLO = ViewPosition.CC, ViewPosition.MLO
SEQUENCE = torch.tensor([0, 0, 0, 1, 2, 2])
CONTEXT = context(CC, CC, MLO, MLO, CC, MLO, prior=(0,))


def build(arguments):
    network = create_network(**arguments)
    for layer in dropout_modules(network):
        layer.p = 0.0  # What is dropped gets no gradient.
    with torch.no_grad():
        # Bigger than a fresh network's, so that differences show.
        network.classify.weight.normal_()
        for layer in network.modules():
            # timm starts residual branches at zero, and nothing would reach what lies before.
            if isinstance(layer, nn.BatchNorm2d) and not layer.weight.any():
                nn.init.ones_(layer.weight)
    return network


@every_network
def test_every_image_has_a_mask_that_says_no_lesion_and_every_sequence_a_class(arguments):
    output = build(arguments)(torch.rand(6, 1, 64, 32), SEQUENCE, CONTEXT)
    assert output.mask_logits.shape == (6, 1, 64, 32)
    assert output.mask_logits.sigmoid().max() < 1e-6
    assert output.class_logits.shape == (3, 3)
    assert output.class_logits.dtype == torch.float32


@every_network
def test_sequences_of_different_length_answer_as_each_alone(arguments):
    network = build(arguments).eval()
    images = torch.rand(6, 1, 64, 32)
    with torch.inference_mode():
        together = network(images, SEQUENCE, CONTEXT).class_logits
        for breast in range(3):
            mine = breast == SEQUENCE
            alone = network(images[mine], torch.zeros(int(mine.sum()), dtype=torch.int64), CONTEXT[mine])
            torch.testing.assert_close(together[breast], alone.class_logits[0], atol=1e-5, rtol=1e-5)


@every_network
def test_an_image_alone_is_a_sequence_of_one(arguments):
    network = build(arguments).eval()
    images = torch.rand(2, 1, 64, 32)
    with torch.inference_mode():
        plain = network(images).class_logits
        named = network(images, torch.arange(2), torch.zeros(2, CONTEXT_SIZE)).class_logits
        features = network.encode(images)
        steps = network.heads(network.decode(features), features[-1], images).class_logits
    torch.testing.assert_close(plain, named)
    torch.testing.assert_close(plain, steps)


@every_network
def test_reading_the_maps_of_single_images_is_the_same_as_going_forward(arguments):
    network = build(arguments).eval()
    batch = network.make_batch(torch.rand(6, 1, 64, 32), SEQUENCE, CONTEXT)
    with torch.inference_mode():
        features = network.encode(batch.images)
        read = network.read(features, network.decode(features), batch).class_logits
        torch.testing.assert_close(read, network(*batch).class_logits)


@every_network
def test_gradients_of_the_class_reach_every_parameter(arguments):
    network = build(arguments)
    output = network(torch.rand(6, 1, 64, 32), SEQUENCE, CONTEXT)
    loss = F.cross_entropy(output.class_logits, torch.tensor([0, 1, 2]))
    if output.invasive_logits is not None:
        loss = loss + output.invasive_logits.sum()
    loss.backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@every_network
def test_a_training_batch_of_one_works(arguments):
    output = build(arguments)(torch.rand(1, 1, 64, 64))
    assert torch.isfinite(output.class_logits).all()


@every_network
def test_configuration_survives_json_and_fits_the_weights(arguments):
    network = build(arguments).eval()
    config = json.loads(json.dumps(network_config(network)))
    assert config == network_config(network)
    assert arguments.items() <= config.items()
    again = create_network(**config).eval()
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        images = torch.rand(6, 1, 64, 32)
        assert torch.equal(
            again(images, SEQUENCE, CONTEXT).class_logits, network(images, SEQUENCE, CONTEXT).class_logits
        )


@every_network
def test_mixed_precision_answers_in_float32_near_full_precision(arguments):
    network = build(arguments).eval()
    images = torch.rand(6, 1, 64, 32)
    with torch.inference_mode():
        full = network(images, SEQUENCE, CONTEXT).class_logits
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(images, SEQUENCE, CONTEXT).class_logits
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, full, atol=0.2, rtol=0.1)


@every_network
def test_heat_and_dropout_passes_work_on_one_image(arguments):
    network = create_network(**arguments).eval()
    image = torch.rand(1, 1, 64, 64)
    heat = class_heat_map(network, image, 2)
    assert heat.shape == (64, 64)
    assert 0 <= heat.min() <= heat.max() <= 1
    logits = torch.cat([output.class_logits for output in stochastic_passes(network, image, 4)])
    assert logits.std(dim=0).max() > 0


@every_network
def test_a_few_steps_lower_the_loss(arguments):
    network = build(arguments)
    images = torch.rand(6, 1, 64, 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = F.cross_entropy(network(images, SEQUENCE, CONTEXT).class_logits, torch.tensor([0, 1, 2]))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_network
def test_a_tiny_network_answers_within_half_a_second(arguments):
    network = create_network(**arguments).eval()
    start = time.perf_counter()
    with torch.inference_mode():
        network(torch.rand(1, 1, 64, 64))
    assert time.perf_counter() - start < 0.5


@every_network
def test_colour_and_bad_sequences_are_refused(arguments):
    network = create_network(**arguments)
    with pytest.raises(InvalidImageError, match=r"\(B, 1, H, W\) are required"):
        network(torch.rand(1, 3, 64, 64))
    with pytest.raises(InvalidImageError, match=r"numbered 0, 1, \.\.\. in ascending order"):
        network(torch.rand(2, 1, 64, 64), torch.tensor([1, 0]))
    with pytest.raises(InvalidImageError, match=f"a context of {CONTEXT_SIZE} numbers"):
        network(torch.rand(2, 1, 64, 64), torch.tensor([0, 1]), torch.zeros(2, 3))


@pytest.mark.parametrize("arguments", [CAD, SCREENING], ids=["cad", "screening"])
def test_what_is_known_beside_the_image_matters(arguments):
    network = build(arguments).eval()
    given = CONTEXT.clone().requires_grad_(True)
    network(torch.rand(6, 1, 64, 32), SEQUENCE, given).class_logits.square().sum().backward()
    last = torch.tensor([2, 3, 5])
    assert (given.grad[last].abs() > 0).all()


def test_telling_invasive_cancers_changes_no_other_answer_and_can_be_left_out():
    plain, asked = build(SCREENING).eval(), build({**SCREENING, "invasive": True}).eval()
    asked.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(6, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = (network(images, SEQUENCE, CONTEXT) for network in (plain, asked))
    assert torch.equal(before.class_logits, after.class_logits)
    assert before.invasive_logits is None
    assert after.invasive_logits.shape == (len(after.class_logits),)
    # The configuration of a checkpoint from before there was this answer has no word of it.
    before_it = {name: value for name, value in network_config(plain).items() if name != "invasive"}
    create_network(**before_it).load_state_dict(plain.state_dict())
    asked.leave_out_invasive()
    assert not asked.answers_invasive
    assert asked.config() == plain.config()
    plain.load_state_dict(asked.state_dict())
