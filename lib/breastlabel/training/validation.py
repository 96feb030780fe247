"""How good the network is on images it does not learn from, at the prepared size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.losses import JointLoss
from breastlabel.training.precision import autocast
from breastlabel.training.settings import TrainingSettings

__all__ = ["Outputs", "area_under_roc", "dice_scores", "run_network", "validate"]


@dataclass(frozen=True)
class Outputs:
    """A network's raw answers to N images: (N, H, W) mask logits as float16 and (N, C) class logits."""

    mask_logits: npt.NDArray[np.float16]
    class_logits: npt.NDArray[np.float32]


@torch.inference_mode()
def run_network(
    network: HybridNetwork,
    arrays: TrainingArrays,
    *,
    views: Sequence[str] = (),
    batch_size: int = 32,
    precision: str = "auto",
) -> Outputs:
    """The network's answers to every image, in evaluation mode.

    Args:
        views: test-time flips that are averaged, as `breastlabel.inference` does.
    """
    from breastlabel.inference.passes import augmented_pass

    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    masks, classes = [], []
    for start in range(0, len(arrays), batch_size):
        images = torch.from_numpy(arrays.images[start : start + batch_size]).to(device).float()[:, None]
        with autocast(device, precision):  # type: ignore[arg-type]
            output = augmented_pass(
                network, images.contiguous(memory_format=torch.channels_last), views=views
            )
        masks.append(output.mask_logits[:, 0].half().cpu().numpy())
        classes.append(output.class_logits.float().cpu().numpy())
    network.train(was_training)
    return Outputs(np.concatenate(masks), np.concatenate(classes))


def dice_scores(
    mask_logits: npt.NDArray[np.float16], masks: npt.NDArray[np.uint8], *, threshold: float = 0.5
) -> npt.NDArray[np.float64]:
    """Dice of each image (N,), NaN where the reader outlined nothing (Dice is then undefined)."""
    logit = np.log(threshold / (1 - threshold))
    predicted = (mask_logits > logit).reshape(len(masks), -1)
    truth = masks.reshape(len(masks), -1).astype(bool)
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
    the mean of those that are defined.
    """
    outputs = run_network(network, arrays, precision=settings.precision)
    known = arrays.labels >= 0
    probabilities = torch.from_numpy(outputs.class_logits).softmax(1)[:, LesionClass.MALIGNANT].numpy()
    dice = dice_scores(outputs.mask_logits[arrays.has_mask], arrays.masks[arrays.has_mask])
    figures = {
        "val_dice": float(np.nanmean(dice)) if np.isfinite(dice).any() else float("nan"),
        "val_auc": area_under_roc(probabilities[known], arrays.labels[known] == LesionClass.MALIGNANT),
    }
    defined = [v for v in figures.values() if np.isfinite(v)]
    figures["val_score"] = float(np.mean(defined)) if defined else float("nan")
    figures["val_loss"] = _loss(outputs, arrays, loss)
    return figures


def _loss(outputs: Outputs, arrays: TrainingArrays, loss: JointLoss, *, chunk: int = 64) -> float:
    total = 0.0
    for start in range(0, len(arrays), chunk):
        part = slice(start, start + chunk)
        parts = loss(
            torch.from_numpy(outputs.mask_logits[part])[:, None].float(),
            torch.from_numpy(outputs.class_logits[part]),
            masks=torch.from_numpy(arrays.masks[part])[:, None].float(),
            has_mask=torch.from_numpy(arrays.has_mask[part]),
            labels=torch.from_numpy(arrays.labels[part]),
        )
        total += float(parts.total) * len(arrays.labels[part])
    return total / len(arrays)
