"""Pieces of prepared mammograms to learn from first: in a piece a lesion is large."""

from __future__ import annotations

import numpy as np

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.training.arrays import TrainingArrays
from breastlabel.transforms.patches import cut_patches

__all__ = ["pieces_of"]


def pieces_of(
    arrays: TrainingArrays, *, size: int, seed: int, each: int = 3, beside: int = 1, offset: float = 0.0
) -> TrainingArrays:
    """Square pieces of the images that are judged and have a mask, each piece a case of its own.

    A lesion covers half a percent of a mammogram; a network that never found one learns to outline nothing.
    In a piece it cannot be overlooked. The piece of a lesion has the class of its breast, unknown (-1) where
    that is unknown, and is invasive or not as its cancer is; tissue beside lesions is normal.

    Args:
        arrays: prepared, N images.
        size: rows and columns of a piece.
        seed: of the places; the same arrays and seed give the same pieces.
        each: pieces of each lesion, at places of their own.
        beside: pieces without a lesion of each image; fewer where lesions leave no room.
        offset: how far a lesion may be off the middle, see `cut_patches`.

    Returns:
        Images (M, size, size), M cases; M is 0 where no image has a mask.

    Raises:
        InvalidImageError: the images are smaller than a piece.
    """
    rng = np.random.default_rng(seed)
    images, masks, labels, groups, invasive = [], [], [], [], []
    for i in np.flatnonzero((arrays.image_cases >= 0) & arrays.has_mask):
        case = arrays.image_cases[i]
        known = int(arrays.labels[case])
        # An outline in a breast that is called normal contradicts its class, so that teaches nothing.
        of_lesion = known if known > LesionClass.NORMAL else -1
        mask = arrays.masks[i] * np.uint8(max(of_lesion, LesionClass.BENIGN))
        image = arrays.images[i].astype(np.float32)
        cut = cut_patches(image, mask, size=size, each=each, beside=beside, offset=offset, rng=rng)
        for kind, (row, column) in zip(cut.classes, cut.corners, strict=True):
            window = (slice(row, row + size), slice(column, column + size))
            images.append(arrays.images[i][window])
            masks.append(arrays.masks[i][window])
            labels.append(of_lesion if kind else int(LesionClass.NORMAL))
            groups.append(arrays.groups[case])
            invasive.append(int(arrays.invasive[case]) if kind else -1)
    n = len(images)
    shape = (n, size, size)
    return TrainingArrays(
        np.asarray(images, np.float16).reshape(shape),
        np.asarray(masks, np.uint8).reshape(shape),
        np.ones(n, bool),
        np.asarray(labels, np.int64),
        np.asarray([f"patch-{i}" for i in range(n)], str),
        np.asarray(groups, str),
        invasive=np.asarray(invasive, np.int64),
    )
