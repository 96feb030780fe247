"""The joint loss: outline, class and invasiveness together, each image contributing only what it has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["JointLoss", "LossParts", "soft_dice_loss"]


def soft_dice_loss(
    mask_logits: Tensor,
    masks: Tensor,
    *,
    smooth: float = 1.0,
    pooled: bool = False,
    counted: Tensor | None = None,
) -> Tensor:
    """One minus the soft Dice coefficient of each image (Milletari et al., V-Net, 3DV 2016, eq. 3).

    Args:
        mask_logits: (B, 1, H, W), before the sigmoid.
        masks: (B, 1, H, W), 0 or 1.
        smooth: pixels added to both sides of the fraction, so that an empty mask that is predicted
            empty costs nothing and one that is not has a gradient.
        pooled: take all images together as one: the same loss for each. Where most images are empty and
            lesions are small, saying "nothing" everywhere is else the nearest minimum.
        counted: (B,) bool, the images that are pooled; all where None.

    Returns:
        (B,) losses in [0, 1].
    """
    probabilities = torch.sigmoid(mask_logits).flatten(1)
    truth = masks.flatten(1)
    overlap = (probabilities * truth).sum(1)
    # Squares in the denominator, as in V-Net: their gradient does not vanish for confident pixels.
    total = (probabilities * probabilities).sum(1) + truth.sum(1)
    if pooled:
        weight = torch.ones_like(overlap) if counted is None else counted.to(overlap.dtype)
        overlap = (overlap * weight).sum().expand_as(overlap)
        total = (total * weight).sum().expand_as(total)
    return 1 - (2 * overlap + smooth) / (total + smooth)


@dataclass(frozen=True)
class LossParts:
    """The joint loss of a batch and what it is made of; all scalars."""

    total: Tensor
    mask_bce: Tensor
    mask_dice: Tensor
    classification: Tensor
    invasive: Tensor
    boxes: Tensor


class JointLoss:
    """BCE of the mask + ``dice_weight`` * Dice + ``class_weight`` * (cross-entropy of the class + BCE of
    whether the cancer is invasive) + the loss of the boxes.

    An image without a mask trains only the class head, one without a class only the mask head, and a case of
    which nobody says whether its cancer is invasive, or that has none, does not train that head.

    Args:
        dice_weight: lambda of the Dice term.
        class_weight: weight of the class term and of the invasive one.
        class_weights: (C,) weights of the classes against imbalance, None for equal ones.
        label_smoothing: share of the target spread over all classes (Szegedy et al., CVPR 2016).
        pooled_dice: whether Dice is of the batch's images together; see `soft_dice_loss`.
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        class_weight: float = 1.0,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        pooled_dice: bool = False,
    ) -> None:
        self.dice_weight = dice_weight
        self.class_weight = class_weight
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.pooled_dice = pooled_dice

    def __call__(
        self,
        mask_logits: Tensor,
        class_logits: Tensor,
        *,
        masks: Tensor,
        has_mask: Tensor,
        labels: Tensor,
        invasive_logits: Tensor | None = None,
        invasive: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> LossParts:
        """Loss of one batch.

        Args:
            mask_logits: (M, 1, H, W), of the images.
            class_logits: (B, C), of the cases that the images make.
            masks: (M, 1, H, W), 0 or 1; ignored where ``has_mask`` is false.
            has_mask: (M,) bool.
            labels: (B,) class indices, -1 where the class is unknown.
            invasive_logits: (B,); None where the network does not answer that, or nobody asks.
            invasive: (B,) 1 for invasive, 0 for in situ, -1 where unknown or no cancer.
            boxes: the loss of the boxes, a mean over the images that teach them; see `BoxHead.loss`.
        """
        mask_logits, class_logits = mask_logits.float(), class_logits.float()
        weight = has_mask.to(mask_logits.dtype)
        n_masks = weight.sum().clamp(min=1)
        bce = F.binary_cross_entropy_with_logits(mask_logits, masks, reduction="none").flatten(1).mean(1)
        bce = (bce * weight).sum() / n_masks
        dice = soft_dice_loss(mask_logits, masks, pooled=self.pooled_dice, counted=has_mask)
        dice = (dice * weight).sum() / n_masks
        classification = self._classification(class_logits, labels)
        told = _invasive(invasive_logits, invasive, class_logits)
        nothing = class_logits.new_zeros(())
        return self._together(bce, dice, classification, told, nothing if boxes is None else boxes)

    def amounts(self, has_mask: Tensor, labels: Tensor, invasive: Tensor, box_classes: Tensor) -> Tensor:
        """(4,) what the terms of mask, class, invasive and boxes are means over.

        Those are masks, weights of the classes, cancers of which it is known, and images of which boxes are.
        """
        known = labels[labels >= 0]
        if self.class_weights is None:
            classes = torch.tensor(float(len(known)), device=labels.device)
        else:
            classes = self.class_weights.to(labels.device)[known].sum()
        counts = [(each >= 0).sum().float() for each in (invasive, box_classes)]
        return torch.stack([has_mask.sum().float(), classes, *counts])

    def share(
        self, parts: LossParts, *, masks: Tensor, classes: Tensor, invasive: Tensor, boxes: Tensor
    ) -> LossParts:
        """What a part of a batch adds to the whole batch's loss.

        Args:
            parts: of the part alone.
            masks, classes, invasive, boxes: its share of the whole batch's `amounts`.
        """
        bce, dice = parts.mask_bce * masks, parts.mask_dice * masks
        return self._together(
            bce, dice, parts.classification * classes, parts.invasive * invasive, parts.boxes * boxes
        )

    def _together(
        self, bce: Tensor, dice: Tensor, classification: Tensor, invasive: Tensor, boxes: Tensor
    ) -> LossParts:
        total = bce + self.dice_weight * dice + self.class_weight * (classification + invasive) + boxes
        return LossParts(
            total=total,
            mask_bce=bce,
            mask_dice=dice,
            classification=classification,
            invasive=invasive,
            boxes=boxes,
        )

    def _classification(self, class_logits: Tensor, labels: Tensor) -> Tensor:
        known = labels >= 0
        if not bool(known.any()):
            return class_logits.sum() * 0.0
        weights = None if self.class_weights is None else self.class_weights.to(class_logits)
        return F.cross_entropy(
            class_logits[known], labels[known], weight=weights, label_smoothing=self.label_smoothing
        )


def _invasive(logits: Tensor | None, truth: Tensor | None, like: Tensor) -> Tensor:
    """Mean BCE of the cases of which it is known; 0 of none."""
    if logits is None or truth is None:
        return like.new_zeros(())
    known = truth >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known].float(), truth[known].float())
