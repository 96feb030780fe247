"""Which lesion of an older image is which of a newer one, and how much it has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from breastlabel.errors import InvalidImageError
from breastlabel.findings.change import Change, Comparison
from breastlabel.findings.finding import Finding
from breastlabel.imaging.image import FloatArray

__all__ = ["FARTHEST", "BreastFrame", "breast_frame", "changes"]

FARTHEST = 0.2
"""How far apart, in shares of the breast's height and width, one lesion may lie in two exams.

Compression and positioning differ between exams, by more than registration can undo; two lesions of one
breast are mostly farther apart than that.
"""

_IMPOSSIBLE = 1e6


@dataclass(frozen=True)
class BreastFrame:
    """Where the breast lies in an image, so that places in two images can be compared.

    Attributes:
        box: (top, left, height, width) of the breast in the image's pixels.
        chest_wall_right: whether the chest wall is at the right of the image.
    """

    box: tuple[int, int, int, int]
    chest_wall_right: bool = False

    def place(self, centroid: tuple[float, float]) -> tuple[float, float]:
        """(down the breast, away from the chest wall), 0 to 1 each, of a (row, col) of the image."""
        top, left, height, width = self.box
        along = (centroid[1] + 0.5 - left) / width
        return (centroid[0] + 0.5 - top) / height, 1.0 - along if self.chest_wall_right else along


def breast_frame(pixels: FloatArray) -> BreastFrame:
    """The breast in a mammogram (rows, cols); the whole image where none can be told from its background."""
    # The package of transforms loads torch, which a reader of findings need not have.
    from breastlabel.transforms.breast import isolate_breast

    try:
        region = isolate_breast(pixels)
    except InvalidImageError:
        return BreastFrame((0, 0, pixels.shape[0], pixels.shape[1]))
    return BreastFrame(region.box(), region.chest_wall_right)


def changes(
    findings: Sequence[Finding],
    priors: Sequence[Finding],
    *,
    frame: BreastFrame,
    prior_frame: BreastFrame,
    prior: int,
    months: int | None = None,
) -> list[Change]:
    """The change of each finding against an older image of the same side and view.

    Findings are paired one to one, as many as can be, then as near to each other as can be, none farther
    apart than `FARTHEST`. What has no partner is new. Sizes are compared in mm, whatever the pixels' sizes
    are; where one of the images does not know its own, lesions that have a partner cannot be compared.

    Args:
        findings: of the newer image.
        priors: of the older one.
        prior: the older image's index in the sequence.
        months: between the exams.
    """
    partners = _partners(findings, priors, frame, prior_frame)
    return [
        Change(comparison=Comparison.NEW, prior=prior, months=months)
        if partner is None
        else _change(finding, priors[partner], prior=prior, months=months)
        for finding, partner in zip(findings, partners, strict=True)
    ]


def _change(now: Finding, before: Finding, *, prior: int, months: int | None) -> Change:
    if now.length_unit != "mm" or before.length_unit != "mm":
        reason = "the size of a pixel is not known in both images"
        return Change(comparison=Comparison.NOT_COMPARABLE, reason=reason, prior=prior, months=months)
    return Change(
        comparison=Comparison.COMPARED,
        prior=prior,
        months=months,
        long_axis_mm=now.long_axis - before.long_axis,
        long_axis_percent=100.0 * (now.long_axis / before.long_axis - 1.0),
        area_mm2=now.area - before.area,
        area_percent=100.0 * (now.area / before.area - 1.0),
    )


def _partners(
    findings: Sequence[Finding], priors: Sequence[Finding], frame: BreastFrame, prior_frame: BreastFrame
) -> list[int | None]:
    """For each finding the index of its partner among the priors."""
    if not findings or not priors:
        return [None] * len(findings)
    here = np.array([frame.place(finding.centroid) for finding in findings])
    there = np.array([prior_frame.place(finding.centroid) for finding in priors])
    distance: npt.NDArray[np.float64] = np.linalg.norm(here[:, None] - there[None], axis=-1)
    rows, cols = linear_sum_assignment(np.where(distance <= FARTHEST, distance, _IMPOSSIBLE))
    partners: list[int | None] = [None] * len(findings)
    for row, col in zip(rows, cols, strict=True):
        if distance[row, col] <= FARTHEST:
            partners[int(row)] = int(col)
    return partners
