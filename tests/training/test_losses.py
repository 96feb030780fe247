from __future__ import annotations

import math

import pytest
import torch

from breastlabel.training.losses import JointLoss, soft_dice_loss
from breastlabel.training.trainer import class_weights

SURE = 30.0


def _logits(mask: torch.Tensor) -> torch.Tensor:
    return (mask * 2 - 1) * SURE


def test_dice_loss_is_zero_for_the_readers_mask_and_for_an_empty_one() -> None:
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, 0, 1:3, 1:3] = 1
    assert soft_dice_loss(_logits(masks), masks).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_dice_loss_of_half_the_lesion_follows_from_the_definition() -> None:
    truth, found = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    truth[..., :2, :] = 1
    found[..., :1, :] = 1
    # overlap 4, found 4, truth 8: 1 - (2 * 4 + 1) / (4 + 8 + 1)
    assert float(soft_dice_loss(_logits(found), truth)) == pytest.approx(1 - 9 / 13, abs=1e-6)


def test_an_image_without_mask_does_not_train_the_mask_head() -> None:
    mask_logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    class_logits = torch.zeros(2, 3, requires_grad=True)
    JointLoss()(
        mask_logits,
        class_logits,
        masks=torch.zeros(2, 1, 4, 4),
        has_mask=torch.tensor([True, False]),
        labels=torch.tensor([1, 2]),
    ).total.backward()
    assert mask_logits.grad is not None
    assert class_logits.grad is not None
    assert mask_logits.grad[0].abs().sum() > 0
    assert mask_logits.grad[1].abs().sum() == 0
    assert class_logits.grad[1].abs().sum() > 0


def test_an_image_without_class_does_not_train_the_class_head() -> None:
    class_logits = torch.zeros(2, 3, requires_grad=True)
    mask_logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    JointLoss()(
        mask_logits,
        class_logits,
        masks=torch.ones(2, 1, 4, 4),
        has_mask=torch.tensor([True, True]),
        labels=torch.tensor([-1, 0]),
    ).total.backward()
    assert class_logits.grad is not None
    assert mask_logits.grad is not None
    assert class_logits.grad[0].abs().sum() == 0
    assert class_logits.grad[1].abs().sum() > 0
    assert mask_logits.grad[0].abs().sum() > 0


def test_class_weights_are_inverse_square_roots_with_mean_one() -> None:
    labels = torch.tensor([0] * 1 + [1] * 4 + [-1] * 7).numpy()
    weights = class_weights(labels)
    assert float(weights[0] / weights[1]) == pytest.approx(2.0)
    assert float((weights[0] * 1 + weights[1] * 4) / 5) == pytest.approx(1.0)
    assert float(weights[2]) == 1.0


def test_pooled_dice_takes_the_counted_images_as_one():
    logits = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    masks = (torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1)) > 0.8).float()
    counted = torch.tensor([True, True, False, True])
    pooled = soft_dice_loss(logits, masks, pooled=True, counted=counted)
    as_one = soft_dice_loss(logits[counted].reshape(1, 1, 18, 6), masks[counted].reshape(1, 1, 18, 6))
    assert torch.allclose(pooled, as_one.expand(4))


def test_saying_nothing_everywhere_is_no_way_out_of_pooled_dice():
    masks = torch.zeros(8, 1, 6, 6)
    masks[0, 0, 2, 2] = 1
    nothing = torch.full((8, 1, 6, 6), -20.0)
    assert float(soft_dice_loss(nothing, masks).mean()) < 0.1
    assert float(soft_dice_loss(nothing, masks, pooled=True).mean()) == pytest.approx(0.5, abs=0.01)


def test_only_cancers_of_which_it_is_known_teach_which_are_invasive() -> None:
    logits = torch.tensor([0.0, 2.0, -1.0, 5.0], requires_grad=True)
    truth = torch.tensor([1, 0, -1, -1])
    cases = {
        "masks": torch.zeros(4, 1, 2, 2),
        "has_mask": torch.zeros(4).bool(),
        "labels": torch.full((4,), 2),
    }
    given = (torch.zeros(4, 1, 2, 2), torch.zeros(4, 3))
    parts = JointLoss(class_weight=3.0)(*given, **cases, invasive_logits=logits, invasive=truth)
    # -log sigmoid(0) and -log(1 - sigmoid(2)).
    expected = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert float(parts.invasive.detach()) == pytest.approx(expected)
    assert float(parts.total.detach()) == pytest.approx(3 * (math.log(3) + expected))
    parts.total.backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [True, True, False, False]
    unknown = JointLoss()(*given, **cases, invasive_logits=logits, invasive=torch.full((4,), -1))
    assert float(unknown.invasive.detach()) == 0
    assert float(JointLoss()(*given, **cases).invasive) == 0
