"""How much each group of features contributes: take it away from a trained network and measure again.

A group is taken away by giving every image another image's values for it (Breiman, Machine Learning 45,
2001), so that the values stay plausible but say nothing of the image; the recurrence by leaving its sweeps
out. What drops is what the network drew from that group alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from breastlabel.evaluation.bootstrap import Bootstrap, Weights, weighted_mean
from breastlabel.evaluation.classification import auc
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks import UltrasoundHybrid
from breastlabel.training import TrainingArrays
from breastlabel.training.validation import Outputs, dice_scores

__all__ = ["feature_groups", "influence", "run_without"]

Values = npt.NDArray[np.float64]


def feature_groups(network: UltrasoundHybrid) -> list[str]:
    """The groups that this network has, in the order of the chain."""
    groups = ["grey image"]
    if network.gabor is not None:
        groups.append("Gabor channels")
    if network.describe(torch.zeros(1, 1, 32, 32)) is not None:
        groups.append("texture statistics")
    if network.recurrence is not None:
        groups.append("recurrence")
    return groups


def run_without(
    network: UltrasoundHybrid,
    arrays: TrainingArrays,
    group: str | None,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> Outputs:
    """The network's answers to prepared images without one group of features; None takes nothing away.

    Args:
        group: one of `feature_groups`.
        seed: of the exchange between images.
    """
    others = _exchange(len(arrays), seed)
    device = next(network.parameters()).device
    network.eval()
    masks, classes = [], []
    with torch.inference_mode():
        for index in _batches(len(arrays), batch_size):
            image = torch.from_numpy(arrays.images[index]).float()[:, None].to(device)
            other = torch.from_numpy(arrays.images[others[index]]).float()[:, None].to(device)
            output = _forward(network, image, other, group)
            masks.append(output.mask_logits[:, 0].half().cpu().numpy())
            classes.append(output.class_logits.float().cpu().numpy())
    return Outputs(np.concatenate(masks), np.concatenate(classes))


def influence(
    networks: list[UltrasoundHybrid], arrays: TrainingArrays, *, resamples: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Change of malignant AUC and of Dice without each group, mean over networks trained with several seeds.

    Both are measured on the prepared images, without refinement. Intervals are over patients.

    Returns:
        ``{"group", "auc_malignant", "dice"}`` each; negative where the group helped.
    """
    bootstrap = Bootstrap([str(g) for g in arrays.groups], resamples=resamples, seed=seed)
    whole = [_scores(run_without(network, arrays, None), arrays) for network in networks]
    rows = []
    for group in feature_groups(networks[0]):
        reduced = [
            _scores(run_without(network, arrays, group, seed=seed + i), arrays)
            for i, network in enumerate(networks)
        ]
        rows.append(
            {
                "group": group,
                "auc_malignant": bootstrap.interval(_auc_change(whole, reduced, arrays.labels)),
                "dice": bootstrap.interval(_dice_change(whole, reduced)),
            }
        )
    return rows


def _forward(network: UltrasoundHybrid, image: Tensor, other: Tensor, group: str | None) -> Any:
    """The steps of the network's own `forward`, with one group exchanged."""
    stacked = image if network.gabor is None else network.gabor(image)
    if group == "grey image":
        stacked = torch.cat([other, stacked[:, 1:]], dim=1)
    if group == "Gabor channels" and network.gabor is not None:
        stacked = torch.cat([stacked[:, :1], network.gabor(other)[:, 1:]], dim=1)
    features = network.encoder(stacked)
    if network.recurrence is not None and group != "recurrence":
        features[-1] = network.recurrence(features[-1])
    texture = network.describe(other if group == "texture statistics" else image)
    return network.heads(network.decode(features), features[-1], image, texture=texture)


def _exchange(n: int, seed: int) -> npt.NDArray[np.int64]:
    """For each image another one: a cycle through a random order, so that none keeps its own."""
    order = np.random.default_rng(seed).permutation(n)
    others = np.empty(n, dtype=np.int64)
    others[order] = np.roll(order, 1)
    return others


def _batches(n: int, size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def _scores(outputs: Outputs, arrays: TrainingArrays) -> tuple[Values, Values]:
    """(probability of malignant, Dice) of each image; Dice is NaN without an outlined lesion."""
    logits = torch.from_numpy(outputs.class_logits).softmax(dim=1)
    dice = np.where(arrays.has_mask, dice_scores(outputs.mask_logits, arrays.masks), np.nan)
    return logits[:, LesionClass.MALIGNANT].double().numpy(), dice


def _auc_change(whole: list[tuple[Values, Values]], reduced: list[tuple[Values, Values]], labels: Any) -> Any:
    known = labels >= 0
    malignant = labels[known] == LesionClass.MALIGNANT

    def change(weights: Weights) -> Values:
        w = weights[:, known]
        changes = [
            auc(malignant, score[known], w) - auc(malignant, before[known], w)
            for (before, _), (score, _) in zip(whole, reduced, strict=True)
        ]
        return np.asarray(np.mean(changes, axis=0), dtype=np.float64)

    return change


def _dice_change(whole: list[tuple[Values, Values]], reduced: list[tuple[Values, Values]]) -> Any:
    change = np.mean([r[1] - f[1] for f, r in zip(whole, reduced, strict=True)], axis=0)
    return lambda weights: weighted_mean(change, weights)
