"""The loss of the boxes that a network draws, against those around what is painted in the masks."""

from __future__ import annotations

import torch
from torch import Tensor

from breastlabel.networks.base import BoxLogits
from breastlabel.networks.boxes import BoxHead
from breastlabel.transforms.boxes import component_boxes

__all__ = ["box_loss"]


def box_loss(network: object, logits: BoxLogits | None, *, masks: Tensor, classes: Tensor) -> Tensor | None:
    """The mean over the images of which boxes are known, 0 of none; None where the network draws none.

    The masks have moved with their images, so that boxes drawn around them fit whatever augmentation did.

    Args:
        masks: (M, 1, H, W), 0 or 1.
        classes: (M,) `TrainingArrays.box_classes`.
    """
    head = getattr(network, "boxes", None)
    if logits is None or not isinstance(head, BoxHead):
        return None
    known = classes >= 0
    if not bool(known.any()):
        return logits.classes.sum() * 0.0 + logits.offsets.sum() * 0.0
    painted = (masks[known, 0] > 0.5).cpu().numpy()
    truth = [
        (torch.from_numpy(component_boxes(mask)), int(kind))
        for mask, kind in zip(painted, classes[known].tolist(), strict=True)
    ]
    size = (int(masks.shape[2]), int(masks.shape[3]))
    return head.loss(BoxLogits(logits.classes[known], logits.offsets[known]), size, truth)
