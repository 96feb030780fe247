"""How good the network is on images it does not learn from, at the prepared size."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.losses import JointLoss
from breastlabel.training.picks import Pick, Truth, chunks, pick
from breastlabel.training.precision import Precision, autocast
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.step import joint_loss, outlines

__all__ = ["Outputs", "area_under_roc", "dice_scores", "judged_masks", "run_network", "validate"]


@dataclass(frozen=True)
class Outputs:
    """A network's raw answers to N images that make C cases.

    Attributes:
        mask_logits: (N, H, W) float16.
        class_logits: (C, K).
        invasive_logits: (C,); None where the network does not answer that.
    """

    mask_logits: npt.NDArray[np.float16]
    class_logits: npt.NDArray[np.float32]
    invasive_logits: npt.NDArray[np.float32] | None = None


@torch.inference_mode()
def run_network(
    network: HybridNetwork,
    arrays: TrainingArrays,
    *,
    views: Sequence[str] = (),
    batch_size: int = 32,
    precision: Precision = "auto",
) -> Outputs:
    """The network's answers to every image, in evaluation mode.

    An image that is in several cases is answered where it is of the newest exam.

    Args:
        views: test-time flips that are averaged, as `breastlabel.inference` does.
        batch_size: images that go through the network at a time, where no case has more.
    """
    from breastlabel.inference.passes import augmented_pass

    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    masks = np.zeros(arrays.images.shape, np.float16)
    classes, invasive = [], []
    for part in chunks(pick(network, arrays, torch.arange(len(arrays))), batch_size):
        images = torch.from_numpy(arrays.images[part.images.numpy()]).to(device).float()[:, None]
        run: Any = functools.partial(part.run, network)
        with autocast(device, precision):
            output = augmented_pass(run, images.contiguous(memory_format=torch.channels_last), views=views)
        judged = _judged_here(part, arrays)
        masks[part.images.numpy()[judged]] = output.mask_logits[:, 0].half().cpu().numpy()[judged]
        classes.append(output.class_logits.float().cpu().numpy())
        if output.invasive_logits is not None:
            invasive.append(output.invasive_logits.float().cpu().numpy())
    network.train(was_training)
    return Outputs(masks, np.concatenate(classes), np.concatenate(invasive) if invasive else None)


def _judged_here(part: Pick, arrays: TrainingArrays) -> npt.NDArray[np.bool_]:
    """(M,) whether an image's mask is taken from this pass; of an image that is only a prior, any will do."""
    if part.members is None:
        return np.ones(len(part.images), bool)
    only_prior: npt.NDArray[np.bool_] = arrays.image_cases[part.images.numpy()] < 0
    return part.members.newest | only_prior


def dice_scores(
    mask_logits: npt.NDArray[np.float16], masks: npt.NDArray[np.uint8], *, threshold: float = 0.5
) -> npt.NDArray[np.float64]:
    """Dice of each image (N,), NaN where the reader outlined nothing (Dice is then undefined)."""
    logit = np.log(threshold / (1 - threshold))
    flat = (len(masks), math.prod(masks.shape[1:]))
    predicted = (mask_logits > logit).reshape(flat)
    truth = masks.reshape(flat).astype(bool)
    overlap = (predicted & truth).sum(1)
    total = predicted.sum(1) + truth.sum(1)
    dice = 2 * overlap / np.maximum(total, 1)
    return np.where(truth.any(1), dice, np.nan)


def area_under_roc(scores: npt.NDArray[np.floating[Any]], positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks, ties counted half (Hanley and McNeil 1982); NaN with one class."""
    from scipy.stats import rankdata

    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def validate(
    network: HybridNetwork, arrays: TrainingArrays, loss: JointLoss, settings: TrainingSettings
) -> dict[str, float]:
    """``val_loss``, ``val_dice``, ``val_auc`` (malignant against the rest) and ``val_score``, their mean.

    A figure that is undefined on these images (no lesion, one class only) is NaN, and ``val_score`` is
    the mean of those that are defined. Of a network that answers it, also ``val_auc_invasive``: invasive
    against in situ, where it is known; it is no part of the score. Boxes are no part of any of these.
    """
    outputs = run_network(network, arrays, precision=settings.precision)
    known = arrays.labels >= 0
    probabilities = torch.from_numpy(outputs.class_logits).softmax(1)[:, LesionClass.MALIGNANT].numpy()
    judged = judged_masks(network, arrays)
    dice = dice_scores(outputs.mask_logits[judged], arrays.masks[judged])
    figures = {
        "val_dice": float(np.nanmean(dice)) if np.isfinite(dice).any() else float("nan"),
        "val_auc": area_under_roc(probabilities[known], arrays.labels[known] == LesionClass.MALIGNANT),
    }
    defined = [v for v in figures.values() if np.isfinite(v)]
    figures["val_score"] = float(np.mean(defined)) if defined else float("nan")
    figures["val_loss"] = _loss(network, outputs, arrays, loss)
    if outputs.invasive_logits is not None:
        told = arrays.invasive >= 0
        figures["val_auc_invasive"] = area_under_roc(
            outputs.invasive_logits[told], arrays.invasive[told] == 1
        )
    return figures


def judged_masks(network: object, arrays: TrainingArrays) -> npt.NDArray[np.bool_]:
    """(N,) which images' outlines are judged: those with a mask that are of a newest exam.

    None where the network does not outline.
    """
    return arrays.has_mask & (arrays.image_cases >= 0) & outlines(network)


def _loss(
    network: HybridNetwork, outputs: Outputs, arrays: TrainingArrays, loss: JointLoss, *, chunk: int = 64
) -> float:
    total = 0.0
    invasive = None if outputs.invasive_logits is None else torch.from_numpy(outputs.invasive_logits)
    for cases in torch.split(torch.arange(len(arrays)), chunk):
        images = pick(network, arrays, cases).images.numpy()
        parts = joint_loss(
            loss,
            network,
            HybridOutput(
                torch.from_numpy(outputs.mask_logits[images])[:, None].float(),
                torch.from_numpy(outputs.class_logits[cases.numpy()]),
                None if invasive is None else invasive[cases],
            ),
            masks=torch.from_numpy(arrays.masks[images])[:, None].float(),
            truth=Truth(
                torch.from_numpy(arrays.has_mask[images]),
                torch.from_numpy(arrays.labels[cases.numpy()]),
                torch.from_numpy(arrays.invasive[cases.numpy()]),
                torch.from_numpy(arrays.box_classes[images]),
            ),
        )
        total += float(parts.total) * len(cases)
    return total / len(arrays)
