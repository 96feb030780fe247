"""What holds for every network of the registry, whatever its parts."""

import json
import time

import pytest
import torch
from torch.nn import functional as F

from breastlabel.errors import InvalidImageError
from breastlabel.networks import HybridNetwork, HybridOutput, create_network, dropout_modules, network_config

TINY = {"name": "ultrasound", "widths": [4, 8], "recurrent_hidden": 4}
DEEP = {
    **TINY,
    "widths": [4, 6, 8],
    "convs_per_block": 2,
    "residual": True,
    "stem_stride": 2,
    "pool_last": False,
    "decoder_widths": [6, 4],
    "mask_pooling": True,
    "decoder_dropout": 0.2,
}
NETWORKS = {
    "paper": TINY,
    "deep": DEEP,
    "gru": {**TINY, "recurrence": "gru"},
    "cnn only": {**TINY, "gabor": False, "recurrence": None, "texture": False},
    "no texture": {**DEEP, "texture": False},
    "joint mask": {**DEEP, "mask_gradient": True},
    "mammography": {"name": "mammography", "widths": [4, 8], "recurrence": "mean", "recurrent_hidden": 8},
    "logistic regression": {"name": "pixel-logistic-regression", "scales": [3, 5]},
}
every_network = pytest.mark.parametrize("arguments", NETWORKS.values(), ids=NETWORKS.keys())


def loss_of(output: HybridOutput) -> torch.Tensor:
    mask = torch.zeros_like(output.mask_logits)
    mask[..., 4:12, 4:12] = 1
    classes = torch.arange(len(output.class_logits)) % 3
    return F.binary_cross_entropy_with_logits(output.mask_logits, mask) + F.cross_entropy(
        output.class_logits, classes
    )


def without_dropout(network: HybridNetwork) -> HybridNetwork:
    for layer in dropout_modules(network):
        layer.p = 0.0
    return network


@every_network
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (40, 24)])
def test_mask_has_the_size_of_the_image_and_classes_are_three(arguments, size):
    output = create_network(**arguments)(torch.rand(2, 1, *size))
    assert output.mask_logits.shape == (2, 1, *size)
    assert output.class_logits.shape == (2, 3)


@every_network
def test_gradients_of_the_joint_loss_reach_every_parameter(arguments):
    network = without_dropout(create_network(**arguments))  # What is dropped gets no gradient.
    loss_of(network(torch.rand(4, 1, 32, 32))).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@every_network
def test_a_batch_equals_its_items_one_by_one(arguments):
    network = create_network(**arguments).eval()
    images = torch.rand(3, 1, 32, 24)
    with torch.inference_mode():
        together = network(images)
        alone = [network(image[None]) for image in images]
    torch.testing.assert_close(together.mask_logits, torch.cat([a.mask_logits for a in alone]))
    torch.testing.assert_close(together.class_logits, torch.cat([a.class_logits for a in alone]))


@every_network
def test_configuration_survives_json_and_fits_the_weights(arguments):
    network = create_network(**arguments).eval()
    config = json.loads(json.dumps(network_config(network)))
    assert config == network_config(network)
    assert arguments.items() <= config.items()
    again = create_network(**config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(again(image).mask_logits, network(image).mask_logits)
        assert torch.equal(again(image).class_logits, network(image).class_logits)


@every_network
def test_equal_seeds_give_equal_networks(arguments):
    torch.manual_seed(3)
    first = create_network(**arguments)
    torch.manual_seed(3)
    second = create_network(**arguments)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@every_network
def test_mixed_precision_answers_in_float32_near_full_precision(arguments):
    network = create_network(**arguments).eval().to(memory_format=torch.channels_last)
    images = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        full = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(images)
    assert mixed.mask_logits.dtype == mixed.class_logits.dtype == torch.float32
    torch.testing.assert_close(mixed.mask_logits, full.mask_logits, atol=0.1, rtol=0.1)
    torch.testing.assert_close(mixed.class_logits, full.class_logits, atol=0.1, rtol=0.1)


@every_network
def test_steps_of_forward_can_be_taken_one_by_one(arguments):
    network = create_network(**arguments).eval()
    image = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        features = network.encode(image)
        answer = network.heads(network.decode(features), features[-1], image, texture=network.describe(image))
        assert torch.equal(answer.class_logits, network(image).class_logits)


@every_network
def test_a_training_batch_of_one_works(arguments):
    output = create_network(**arguments)(torch.rand(1, 1, 32, 32))
    assert torch.isfinite(loss_of(output))


@every_network
def test_a_few_steps_lower_the_loss(arguments):
    network = without_dropout(create_network(**arguments))
    images = torch.rand(3, 1, 32, 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = loss_of(network(images))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_network
def test_a_tiny_network_answers_within_a_second(arguments):
    network: HybridNetwork = create_network(**arguments).eval()
    start = time.perf_counter()
    with torch.inference_mode():
        network(torch.rand(1, 1, 64, 64))
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize("arguments", [TINY, DEEP], ids=["paper", "deep"])
def test_indivisible_size_is_refused_with_the_padded_one(arguments):
    network = create_network(**arguments)
    stride = network.stride
    with pytest.raises(InvalidImageError, match=rf"divisible by {stride}; got \(30, 16\); .* \(32, 16\)"):
        network(torch.rand(1, 1, 30, 16))


@every_network
def test_colour_is_refused(arguments):
    with pytest.raises(InvalidImageError, match=r"\(B, 1, H, W\) are required; got .*\(1, 3, 16, 16\)"):
        create_network(**arguments)(torch.rand(1, 3, 16, 16))
