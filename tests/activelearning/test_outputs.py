"""From prepared images to the pool's arrays."""

import numpy as np
import pytest
import torch

from breastlabel.activelearning import Need, PoolError, select
from breastlabel.activelearning.expected_edit import expected_edit
from breastlabel.activelearning.outputs import NetworkOutputs, pool_outputs
from breastlabel.activelearning.registry import ACQUISITIONS
from breastlabel.activelearning.scores import mask_disagreements
from breastlabel.networks import create_network
from breastlabel.networks.dropout import SampledNetworks

IDS = [f"image-{i}" for i in range(7)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_network(
        "ultrasound", widths=(4, 8), recurrent_hidden=4, texture=False, mask_dropout=0.3
    ).eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((7, 16, 16)).astype(np.float16)


def test_it_holds_what_every_acquisition_needs(network, images):
    pool = pool_outputs(network, images, IDS, passes=4)
    assert pool.passes.shape == (4, 7, 3)
    np.testing.assert_allclose(pool.class_probabilities, pool.passes.mean(0), atol=1e-6)
    for name in ACQUISITIONS:
        assert len(set(select(name, pool, n=3, rng=np.random.default_rng(0)))) == 3


def test_without_passes_the_classes_are_the_plain_answers(network, images):
    pool = pool_outputs(network, images, IDS, passes=0, temperature=2.0)
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).float()[:, None]).class_logits
    np.testing.assert_allclose(pool.class_probabilities, (logits / 2).softmax(1).numpy(), atol=1e-6)
    assert pool.passes is None
    assert pool.mask_scores is None


def test_features_are_what_the_class_layer_sees(network, images):
    """The layer's weights on them give the plain answer back."""
    pool = pool_outputs(network, images, IDS, passes=2)
    layer = network.class_head.project
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).float()[:, None]).class_logits
        np.testing.assert_allclose(layer(torch.from_numpy(pool.features)), logits, atol=1e-5)


def test_the_seed_decides_and_the_callers_chance_is_left_alone(network, images):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = pool_outputs(network, images, IDS, passes=3, seed=1)
    assert torch.equal(torch.rand(1), expected)
    again = pool_outputs(network, images, IDS, passes=3, seed=1)
    other = pool_outputs(network, images, IDS, passes=3, seed=2)
    np.testing.assert_array_equal(first.passes, again.passes)
    assert not np.array_equal(first.passes, other.passes)


def test_the_network_is_left_in_its_mode_with_dropout_off(network, images):
    network.train()
    pool_outputs(network, images, IDS, passes=1)
    assert network.training
    assert network.class_head.dropout.training
    network.eval()
    pool_outputs(network, images, IDS, passes=1)
    assert not any(module.training for module in network.modules())


def test_an_images_outputs_do_not_depend_on_its_batch(network, images):
    one = pool_outputs(network, images, IDS, passes=1, batch_size=7)
    many = pool_outputs(network, images, IDS, passes=1, batch_size=2)
    np.testing.assert_allclose(one.features, many.features, atol=1e-5)
    np.testing.assert_allclose(one.expected_edits, many.expected_edits, atol=1e-5)
    np.testing.assert_allclose(one.passes, many.passes, atol=1e-5)
    np.testing.assert_allclose(one.mask_scores, many.mask_scores, atol=1e-5)
    assert list(many.image_ids) == IDS


def test_fields_nobody_needs_are_left_out(network, images):
    pool = pool_outputs(network, images, IDS, passes=2, needs=frozenset({Need.CLASS_PROBABILITIES}))
    assert pool.mask_scores is None
    assert pool.expected_edits is None


def test_images_and_ids_must_fit(network, images):
    with pytest.raises(PoolError, match=r"one id each; got shape \(7, 16, 16\) and 2 ids"):
        pool_outputs(network, images, IDS[:2])


def test_masks_are_compared_at_the_level_of_the_probabilities(network, images):
    """The scores are those of the probability maps, whatever they are computed from."""
    level = 0.13
    pool = pool_outputs(network, images, IDS, passes=3, mask_level=level, seed=2)
    answers = SampledNetworks(network, 3, seed=2)(torch.from_numpy(images).float()[:, None])
    maps = torch.stack([torch.sigmoid(sample.mask_logits[:, 0]) for sample in answers.samples], dim=1)
    np.testing.assert_allclose(pool.mask_scores, mask_disagreements(maps.numpy(), level=level), atol=1e-9)
    plain = torch.sigmoid(answers.plain.mask_logits[:, 0]).numpy()
    np.testing.assert_allclose(pool.expected_edits, expected_edit(plain, level=level), atol=1e-6)


def test_an_answer_that_is_no_number_is_one_images_alone(network, images):
    broken = images.copy()
    broken[2] = np.nan
    arrays = NetworkOutputs(network, passes=2).arrays(broken)
    whole = NetworkOutputs(network, passes=2).arrays(images)
    others = [0, 1, 3, 4, 5, 6]
    assert np.isnan(arrays[Need.EXPECTED_EDITS][2])
    assert np.isnan(arrays[Need.CLASS_PROBABILITIES][2]).any()
    for need in (Need.EXPECTED_EDITS, Need.CLASS_PROBABILITIES, Need.FEATURES, Need.MASK_SCORES):
        np.testing.assert_allclose(arrays[need][others], whole[need][others], atol=1e-5)
