"""What one step teaches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import TrainingArrays
from breastlabel.training.losses import JointLoss
from breastlabel.training.picks import OnDevice, chunks, pick
from breastlabel.training.step import Step

Breasts = Callable[..., TrainingArrays]
Sequences = Callable[..., SequenceNetwork]


def _gradients(
    network: HybridNetwork, arrays: TrainingArrays, *, max_images: int | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    # In evaluation mode: neither dropout nor the statistics of a batch part one pass from several.
    network.eval().zero_grad()
    loss = JointLoss(class_weights=torch.tensor([0.5, 1.0, 2.0]), label_smoothing=0.1, dice_weight=0.7)
    device = torch.device("cpu")
    step = Step(network, OnDevice(arrays, device), loss, "fp32", None, torch.Generator())
    whole = pick(network, arrays, torch.arange(len(arrays)))
    figures = step(chunks(whole, max_images))
    return figures, {k: p.grad.clone() for k, p in network.named_parameters() if p.grad is not None}


def test_several_passes_add_up_to_one(breasts: Breasts, tiny_sequences: Sequences) -> None:
    arrays, network = breasts(6), tiny_sequences()
    # Unequal parts: a mask and a class are missing here and there.
    arrays.has_mask[[0, 4, 5]] = False
    arrays.labels[[1, 2]] = -1
    whole, expected = _gradients(network, arrays)
    parts, gradients = _gradients(network, arrays, max_images=4)
    torch.testing.assert_close(parts, whole)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, msg=name, atol=1e-6, rtol=1e-4)


def test_an_image_without_a_mask_does_not_train_the_mask_head(
    breasts: Breasts, tiny_sequences: Sequences
) -> None:
    arrays, network = breasts(2), tiny_sequences()
    arrays.has_mask[:] = False
    arrays.masks[:] = 1
    _, gradients = _gradients(network, arrays)
    head = {k: g for k, g in gradients.items() if k.startswith("mask_head")}
    assert all(not g.any() for g in head.values())
    assert any(g.any() for g in gradients.values())
    # One of the images alone has a mask: what the others' masks would say changes nothing.
    arrays.has_mask[0] = True
    _, first = _gradients(network, arrays)
    arrays.masks[1:] = 0
    _, second = _gradients(network, arrays)
    assert any(g.any() for k, g in first.items() if k.startswith("mask_head"))
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]), name


def test_a_breast_without_a_class_trains_the_mask_alone(breasts: Breasts, tiny_sequences: Sequences) -> None:
    arrays, network = breasts(2), tiny_sequences()
    arrays.labels[:] = -1
    figures, gradients = _gradients(network, arrays)
    assert not gradients["dense.weight"].any()
    assert any(g.any() for k, g in gradients.items() if k.startswith("mask_head"))
    assert figures[3] == 0


def test_masks_of_a_network_that_does_not_outline_are_not_trained(breasts: Breasts) -> None:
    network = create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4)
    arrays = breasts(2)
    figures, gradients = _gradients(network, arrays)
    assert not figures[1:3].any()
    assert figures[0] == figures[3] > 0
    arrays.masks[:] = 1 - arrays.masks
    _, others = _gradients(network, arrays)
    assert all(torch.equal(g, others[k]) for k, g in gradients.items())


def test_unknown_cases_do_not_teach_which_cancers_are_invasive(breasts: Breasts) -> None:
    network = create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4, invasive=True)
    arrays = breasts(6)
    figures, gradients = _gradients(network, arrays)
    head = [name for name in gradients if name.startswith("invasive")]
    assert len(head) == 2
    assert not any(gradients[name].any() for name in head)
    assert figures[4] == 0
    arrays.invasive[[2, 5]] = [1, 0]
    whole, known = _gradients(network, arrays)
    assert all(known[name].any() for name in head)
    assert whole[0] == pytest.approx(float(whole[3] + whole[4]))
    # In parts of which some have no such case, nothing else comes out.
    parts, in_parts = _gradients(network, arrays, max_images=5)
    torch.testing.assert_close(parts, whole)
    for name, gradient in known.items():
        torch.testing.assert_close(in_parts[name], gradient, msg=name, atol=1e-6, rtol=1e-4)


def test_a_prior_shared_by_two_breasts_reaches_both(breasts: Breasts, tiny_sequences: Sequences) -> None:
    arrays, network = breasts(4), tiny_sequences().eval()
    shared = arrays.cases.images[arrays.cases.offsets[1]]
    assert (arrays.cases.images == shared).sum() == 2
    with torch.inference_mode():
        whole = pick(network, arrays, torch.arange(4))
        images = torch.from_numpy(arrays.images.astype(np.float32))[:, None]
        before = whole.run(network, images[whole.images]).class_logits
        images[shared] = 1 - images[shared]
        after = whole.run(network, images[whole.images]).class_logits
    changed = (before - after).abs().amax(1) > 1e-6
    assert changed.tolist() == [True, True, False, False]


@pytest.mark.parametrize("max_images", [None, 3])
def test_no_gradient_is_left_in_the_figures(
    breasts: Breasts, tiny_sequences: Sequences, max_images: int | None
) -> None:
    figures, _ = _gradients(tiny_sequences(), breasts(3), max_images=max_images)
    assert figures.shape == (6,)
    assert not figures.requires_grad
