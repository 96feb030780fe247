"""How much a label map was changed: a model's proposal beside the reader's correction.

What a radiologist had to change is the best live measure of a model: it is taken on the site's own images,
for every one that is read, and costs nobody any work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.datasets.loading import class_of_mask
from breastlabel.evaluation.segmentation import boundary_distances, dice
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["LESIONS", "MaskAgreement", "compare_masks", "lesion_dice"]

#: The classes that are painted.
LESIONS = (LesionClass.BENIGN, LesionClass.MALIGNANT)


@dataclass(frozen=True, kw_only=True)
class MaskAgreement:
    """Agreement of two label maps of one image.

    Attributes:
        dice: of any lesion, whatever its class; 1 where both masks are empty, 0 where one is.
        dice_per_class: of ``benign`` and ``malignant``; None where neither mask has the class.
        assd: average symmetric surface distance of the lesions' outlines; None where a mask is empty.
        hd95: 95th percentile of the distances between them; None likewise.
        distance_unit: ``mm``, or ``px`` where the image's spacing is not known.
        added: share of the pixels that either mask paints, which the second alone paints.
        removed: share of them that the first alone paints.
        repainted: share of them that both paint, in different classes.
        class_changed: whether the image's class is another: the worst that is painted, or normal.
        unchanged: whether all pixels are equal.
    """

    dice: float
    dice_per_class: Mapping[str, float | None]
    assd: float | None
    hd95: float | None
    distance_unit: str
    added: float
    removed: float
    repainted: float
    class_changed: bool
    unchanged: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without NaN."""
        return {**asdict(self), "dice_per_class": dict(self.dice_per_class)}


def compare_masks(
    proposal: LabelArray, correction: LabelArray, spacing: tuple[float, float] | None = None
) -> MaskAgreement:
    """What a reader changed of a proposal.

    Args:
        proposal: uint8 (rows, cols), 0 nothing, 1 benign, 2 malignant.
        correction: the same of the reader.
        spacing: (between rows, between columns) in mm; None where unknown, distances are then in pixels.

    Raises:
        InvalidLabelError: the masks differ in size.
    """
    overall = lesion_dice(proposal, correction)
    before, after = proposal > 0, correction > 0
    either = int(np.count_nonzero(before | after))
    distances = boundary_distances(correction, proposal, spacing=spacing or (1.0, 1.0))
    return MaskAgreement(
        dice=overall,
        dice_per_class={c.label: _number(dice(correction == c, proposal == c)) for c in LESIONS},
        assd=_number(distances.assd),
        hd95=_number(distances.hd95),
        distance_unit="px" if spacing is None else "mm",
        added=_share(after & ~before, either),
        removed=_share(before & ~after, either),
        repainted=_share(before & after & (proposal != correction), either),
        class_changed=class_of_mask(proposal) != class_of_mask(correction),
        unchanged=bool(np.array_equal(proposal, correction)),
    )


def lesion_dice(first: LabelArray, second: LabelArray) -> float:
    """Dice of any lesion; 1 where both masks are empty: two readers who see nothing agree."""
    value = dice(first, second)
    return 1.0 if np.isnan(value) else float(value)


def _share(pixels: npt.NDArray[np.bool_], total: int) -> float:
    return int(np.count_nonzero(pixels)) / total if total else 0.0


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
