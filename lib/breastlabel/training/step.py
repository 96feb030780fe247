"""One step of training but for the optimiser: augment, infer, loss, backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.training.box_loss import box_loss
from breastlabel.training.losses import JointLoss, LossParts
from breastlabel.training.picks import OnDevice, Pick, Truth
from breastlabel.training.precision import Precision, autocast

__all__ = ["BatchAugmentation", "Step", "outlines"]


class BatchAugmentation(Protocol):
    """`breastlabel.transforms.Augmentation`, as far as the trainer uses it."""

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> object: ...

    def apply(self, params: Any, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]: ...

    def config(self) -> dict[str, Any]: ...


def outlines(network: object) -> bool:
    """Whether a network outlines lesions; else its masks are neither trained nor judged."""
    return bool(getattr(network, "outlines", True))


@dataclass(frozen=True)
class Step:
    """Gradients of the joint loss of some cases, in one pass or in several that add up to it.

    Attributes:
        network: in training mode.
        train: what it learns from.
        generator: of the augmentation, on the device. Each image draws its own change: the views of a breast
            differ in position and exposure anyway.
    """

    network: HybridNetwork
    train: OnDevice
    loss: JointLoss
    precision: Precision
    augmentation: BatchAugmentation | None
    generator: torch.Generator

    def __call__(self, parts: Sequence[Pick]) -> Tensor:
        """Add the gradients to the parameters'.

        Args:
            parts: the step's cases. In several parts they need the memory of one; the gradients are those of
                all together, but for the statistics of batch normalisation, random draws, and Dice where it
                is pooled: that is then of each part's images, a mean weighted by the parts' masks.

        Returns:
            (6,) the total, BCE, Dice, class, invasive and box loss, without gradient.
        """
        if len(parts) == 1:
            return self._backward(self._loss(parts[0]))
        amounts = torch.stack([self._amounts(part) for part in parts])
        shares = amounts / amounts.sum(0).clamp(min=1e-12)
        figures = [
            self._backward(
                self.loss.share(
                    self._loss(part), masks=share[0], classes=share[1], invasive=share[2], boxes=share[3]
                )
            )
            for part, share in zip(parts, shares, strict=True)
        ]
        return torch.stack(figures).sum(0)

    def _loss(self, part: Pick) -> LossParts:
        images, masks = self.train.images(part)
        truth = self.train.truth(part)
        if self.augmentation is not None:
            params = self.augmentation.draw(len(images), (images.shape[2], images.shape[3]), self.generator)
            images, masks = self.augmentation.apply(params, images, masks)
        with autocast(self.train.device, self.precision):
            output = part.run(self.network, images.contiguous(memory_format=torch.channels_last))
        return joint_loss(self.loss, self.network, output, masks=masks, truth=truth)

    def _amounts(self, part: Pick) -> Tensor:
        return self.loss.amounts(*self.train.truth(part))

    @staticmethod
    def _backward(parts: LossParts) -> Tensor:
        torch.autograd.backward(parts.total)
        figures = [parts.total, parts.mask_bce, parts.mask_dice, parts.classification, parts.invasive]
        return torch.stack([*figures, parts.boxes]).detach()


def joint_loss(
    loss: JointLoss, network: object, output: HybridOutput, *, masks: Tensor, truth: Truth
) -> LossParts:
    """The joint loss, without the masks' terms where the network does not outline."""
    boxes = box_loss(network, output.boxes, masks=masks, classes=truth.box_classes)
    logits, has_mask = output.mask_logits, truth.has_mask
    if not outlines(network):
        logits, masks, has_mask = logits[:0], masks[:0], has_mask[:0]
    return loss(
        logits,
        output.class_logits,
        masks=masks,
        has_mask=has_mask,
        labels=truth.labels,
        invasive_logits=output.invasive_logits,
        invasive=truth.invasive,
        boxes=boxes,
    )
