"""P1's image-mask alignment check, as far as it can be decided from the two arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from breastlabel.errors import InvalidLabelError

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray, LabelArray

__all__ = ["check_alignment"]

_NEIGHBOURHOOD = 0.05
"""Of the image's longer side: how far around a lesion some echo must be."""


def check_alignment(pixels: FloatArray, mask: LabelArray) -> None:
    """Make sure that a label map (rows, cols) belongs to an image (rows, cols).

    It must have the image's size and hold only 0 (nothing), 1 (benign) and 2 (malignant). It must also lie
    where there is an image: a mask is refused if every pixel under and around it has one and the same value,
    as in a frame's empty margin. (A cyst may be black all over, but its wall and surroundings are not.)

    Raises:
        InvalidLabelError: with what was required and what came.
    """
    if pixels.ndim != 2 or mask.shape != pixels.shape:
        raise InvalidLabelError(
            f"a label map of its image's size {pixels.shape} (rows, cols) is required; got {mask.shape}; "
            "draw it on this image, or export it at the image's size"
        )
    unknown = [f"{value:g}" for value in np.unique(mask) if value not in (0, 1, 2)]
    if unknown:
        raise InvalidLabelError(
            "a label map of 0 (nothing), 1 (benign), 2 (malignant) is required; it also holds "
            f"{', '.join(unknown[:5])}; map the segments by name first"
        )
    if not mask.any():
        return
    reach = max(3, round(_NEIGHBOURHOOD * max(pixels.shape)))
    around = cv2.dilate((mask > 0).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    under = pixels[around > 0]
    if float(under.min()) == float(under.max()) and float(pixels.min()) != float(pixels.max()):
        raise InvalidLabelError(
            f"a label map that lies on the image's content is required; all pixels under and {reach} pixels "
            f"around it are {float(under.flat[0]):g}; check that it was not shifted or flipped"
        )
