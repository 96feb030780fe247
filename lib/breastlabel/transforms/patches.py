"""Small pieces of an annotated mammogram, for the patch classifier that starts P3's screening model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.imaging.image import FloatArray

__all__ = ["Patches", "cut_patches"]

_TRIES = 20


class Patches(NamedTuple):
    """Pieces of one image.

    Attributes:
        images: (N, 1, size, size) float32.
        classes: (N,) int64, values of `LesionClass`.
        corners: (N, 2) int64, (row, column) of each one's upper left pixel in the image.
    """

    images: FloatArray
    classes: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]


def cut_patches(
    image: FloatArray,
    mask: npt.NDArray[np.uint8],
    *,
    size: int,
    each: int = 10,
    beside: int = 10,
    offset: float = 0.0,
    rng: np.random.Generator,
) -> Patches:
    """Patches of the lesions and of the tissue beside them (Shen et al., Scientific Reports 9 (2019) 12495).

    A lesion's patches are centred on pixels of it, drawn anew for each; where the image ends they are moved
    inside. Patches of normal tissue hold no pixel of a lesion and are centred on the breast.

    Args:
        image: (rows, cols) in [0, 1], black where there is no breast.
        mask: (rows, cols), 0 nothing, 1 benign, 2 malignant; all 0 for a normal image.
        size: rows and columns of a patch.
        each: patches of each lesion.
        beside: patches of normal tissue of each image; fewer where lesions leave no room.
        offset: how far a lesion's patch may be moved off it either way, as a share of the size, below 0.5.
            With none a network can learn that lesions are in the middle.

    Raises:
        InvalidImageError: the image is smaller than a patch.
        InvalidLabelError: the mask has another size or other values.
    """
    if image.ndim != 2 or min(image.shape) < size:
        raise InvalidImageError(
            f"an image of at least ({size}, {size}) pixels is required; got {image.shape}; "
            "prepare it larger or cut smaller patches"
        )
    if mask.shape != image.shape or not set(np.unique(mask).tolist()) <= {0, 1, 2}:
        raise InvalidLabelError(
            f"a mask of the image's size {image.shape} with values 0, 1, 2 is required; got {mask.shape} "
            f"with {np.unique(mask).tolist()[:5]}"
        )
    corners: list[tuple[int, int]] = []
    classes: list[int] = []
    for kind in (1, 2):
        marks, count = ndimage.label(mask == kind)
        for lesion in range(1, count + 1):
            pixels = np.argwhere(marks == lesion)
            centres = rng.choice(pixels, size=each)
            if offset:
                centres = centres + np.rint(rng.uniform(-offset, offset, centres.shape) * size).astype(
                    np.int64
                )
            corners += [_corner(c, size, image.shape) for c in centres]
            classes += [kind] * each
    tissue = np.argwhere((image > 0) & (mask == 0))
    for _ in range(beside if len(tissue) else 0):
        for centre in rng.choice(tissue, size=_TRIES):
            row, column = _corner(centre, size, image.shape)
            if not mask[row : row + size, column : column + size].any():
                corners.append((row, column))
                classes.append(0)
                break
    images = np.empty((len(corners), 1, size, size), np.float32)
    for place, (row, column) in enumerate(corners):
        images[place, 0] = image[row : row + size, column : column + size]
    return Patches(images, np.array(classes, np.int64), np.array(corners, np.int64).reshape(-1, 2))


def _corner(centre: npt.NDArray[np.int64], size: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Upper left corner of the patch around a pixel, moved inside the image."""
    row, column = (
        int(np.clip(at - size // 2, 0, length - size)) for at, length in zip(centre, shape, strict=True)
    )
    return row, column
