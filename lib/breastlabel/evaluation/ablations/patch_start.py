"""P3's patch classifier as the start of the screening network, within one ablation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from breastlabel.errors import StudiesError

if TYPE_CHECKING:
    from breastlabel.training.arrays import TrainingArrays

__all__ = ["patch_arrays", "start_from_patches"]


def start_from_patches(
    network: Any, train: TrainingArrays, val: TrainingArrays, *, settings: Any, device: str | None
) -> None:
    """Train a patch classifier on the outlined lesions and put its branches into the network, in place.

    Raises:
        StudiesError: no image to learn from has an outline.
    """
    from breastlabel.networks.patches import load_patch_weights, patch_network_for
    from breastlabel.training.trainer import fit

    size = _patch_size(train.size, network.stride)
    patches = patch_arrays(train, size, settings.seed)
    if patches is None:
        raise StudiesError(
            "outlined lesions are required to train a patch classifier; the train split has none; import a "
            "dataset with outlines"
        )
    patch = patch_network_for(network)
    # A patch is a case of one image: nothing is dropped, and more of them fit into a step.
    alone = dataclasses.replace(settings, drop_views=0.0, monitor="loss")
    fit(patch, patches, patch_arrays(val, size, settings.seed), settings=alone, device=device)
    load_patch_weights(network, patch)


def patch_arrays(
    arrays: TrainingArrays, size: int, seed: int, *, each: int = 4, beside: int = 4
) -> TrainingArrays | None:
    """Patches of the lesions and of the tissue beside them, each a case; None where nothing was outlined.

    Args:
        size: rows and columns of a patch.
    """
    from breastlabel.training.arrays import TrainingArrays
    from breastlabel.transforms.patches import cut_patches

    rng = np.random.default_rng(seed)
    images, labels, groups = [], [], []
    for i in np.flatnonzero(arrays.has_mask & (arrays.image_cases >= 0)):
        case = arrays.image_cases[i]
        # Of a breast of unknown class no patch can be named; that of a normal one has no lesion.
        if arrays.labels[case] < 0:
            continue
        mask = arrays.masks[i] * np.uint8(arrays.labels[case])
        cut = cut_patches(
            arrays.images[i].astype(np.float32), mask, size=size, each=each, beside=beside, rng=rng
        )
        images += list(cut.images[:, 0].astype(np.float16))
        labels += cut.classes.tolist()
        groups += [str(arrays.groups[case])] * len(cut.classes)
    if not any(labels):
        return None
    n = len(images)
    return TrainingArrays(
        np.stack(images),
        np.zeros((n, size, size), np.uint8),
        np.zeros(n, bool),
        np.asarray(labels, np.int64),
        np.array([f"patch-{i}" for i in range(n)]),
        np.array(groups, str),
    )


def _patch_size(size: tuple[int, int], stride: int) -> int:
    """Three eighths of the shorter side in whole strides: of smaller images, larger parts."""
    return max(1, round(min(size) * 3 / 8 / stride)) * stride
