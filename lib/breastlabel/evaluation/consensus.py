"""One label map out of several readers' ones.

Both methods decide in two steps: first whether a pixel is lesion at all, then of which class. Deciding each
class on its own would let a lesion vanish that all readers see, where they differ on its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.agreement import LESIONS
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["ReaderPerformance", "Staple", "majority", "staple"]

_LESION = "lesion"
_ITERATIONS = 200
# Probabilities that iteration brings this close to each other are a tie.
_TIE = 1e-6


@dataclass(frozen=True)
class ReaderPerformance:
    """A reader against the consensus, as STAPLE estimates it, pixel by pixel."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Staple:
    """A consensus by STAPLE.

    Attributes:
        mask: uint8 (rows, cols), 0 nothing, 1 benign, 2 malignant.
        performance: ``lesion`` (whatever the class), ``benign``, ``malignant`` -> each reader's, in the
            order of the masks; only those that at least one reader painted.
    """

    mask: LabelArray
    performance: Mapping[str, tuple[ReaderPerformance, ...]]


def majority(masks: Sequence[LabelArray]) -> LabelArray:
    """What more than half of the readers paint.

    A pixel is lesion where more than half of the readers paint it; a tie is none. It takes the class that
    most of those who paint it give; in a tie malignant, because to miss a cancer is the graver error.

    Args:
        masks: one a reader, uint8 (rows, cols), 0 nothing, 1 benign, 2 malignant.

    Raises:
        InvalidLabelError: fewer than two masks, or of different sizes.
    """
    stack = _stack(masks)
    benign, malignant = (np.count_nonzero(stack == c, axis=0) for c in LESIONS)
    return _painted(2 * (benign + malignant) > len(stack), malignant >= benign)


def staple(masks: Sequence[LabelArray]) -> Staple:
    """Simultaneous truth and performance level estimation (Warfield et al., IEEE TMI 23 (2004) 903).

    SimpleITK's filter, with its default prior, for any lesion and for each class. A pixel is lesion where
    the probability of lesion is above one half, and of the class that is the more probable there; in a tie
    malignant. With two readers nothing tells who is right; three or more are wanted.

    The estimate looks at the box around everything painted and as much again on every side, because the
    prior and the specificities would otherwise depend on how much empty image surrounds the lesion.

    Args:
        masks: as for `majority`.

    Raises:
        InvalidLabelError: fewer than two masks, or of different sizes.
    """
    stack = _stack(masks)
    consensus: LabelArray = np.zeros(stack.shape[1:], np.uint8)
    if not stack.any():
        return Staple(consensus, {})
    box = _surroundings(stack.any(axis=0))
    near = stack[:, box[0], box[1]]
    probability, performance = {}, {}
    for name, painted in ((_LESION, near > 0), *((c.label, near == c) for c in LESIONS)):
        if painted.any():
            probability[name], performance[name] = _staple_of(painted)
    nowhere = np.zeros(near.shape[1:])
    benign, malignant = (probability.get(c.label, nowhere) for c in LESIONS)
    consensus[box] = _painted(probability[_LESION] > 0.5, malignant >= benign - _TIE)
    return Staple(consensus, performance)


def _staple_of(
    painted: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.float64], tuple[ReaderPerformance, ...]]:
    """Probability (rows, cols), and each reader's performance, from bool (readers, rows, cols)."""
    import SimpleITK

    if (painted == painted[0]).all():
        # Nothing to estimate; the filter divides by zero where the mask fills the image.
        return painted[0].astype(np.float64), (ReaderPerformance(1.0, 1.0),) * len(painted)
    method = SimpleITK.STAPLEImageFilter()
    method.SetForegroundValue(1.0)
    method.SetMaximumIterations(_ITERATIONS)
    found = method.Execute([SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in painted])
    pairs = zip(method.GetSensitivity(), method.GetSpecificity(), strict=True)
    return (
        np.asarray(SimpleITK.GetArrayFromImage(found), np.float64),
        tuple(ReaderPerformance(float(p), float(q)) for p, q in pairs),
    )


def _painted(lesion: npt.NDArray[np.bool_], malignant: npt.NDArray[np.bool_]) -> LabelArray:
    classes = np.where(malignant, LesionClass.MALIGNANT, LesionClass.BENIGN)
    return np.where(lesion, classes, LesionClass.NORMAL).astype(np.uint8)


def _surroundings(painted: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, cols = ndimage.find_objects(painted.astype(np.uint8))[0]
    return _grown(rows, painted.shape[0]), _grown(cols, painted.shape[1])


def _grown(extent: slice, size: int) -> slice:
    length = extent.stop - extent.start
    return slice(max(0, extent.start - length), min(size, extent.stop + length))


def _stack(masks: Sequence[LabelArray]) -> npt.NDArray[Any]:
    if len(masks) < 2:
        raise InvalidLabelError(
            f"label maps of at least two readers are required; got {len(masks)}; have another read the image"
        )
    shapes = {mask.shape for mask in masks}
    if len(shapes) > 1:
        raise InvalidLabelError(
            f"label maps of one size are required; got {' and '.join(str(s) for s in sorted(shapes))}; "
            "draw them on the image itself"
        )
    return np.stack(masks)
