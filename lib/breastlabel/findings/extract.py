"""Label map and scores -> findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.findings.axes import feret_diameters
from breastlabel.findings.finding import Finding, Orientation
from breastlabel.imaging.image import FloatArray, LabelArray
from breastlabel.imaging.vocabulary import LesionClass, Modality

__all__ = ["find_findings"]


def find_findings(
    mask: LabelArray,
    lesion_probability: FloatArray,
    class_probabilities: Mapping[str, float],
    *,
    spacing: tuple[float, float] | None,
    modality: Modality = Modality.US,
    uncertainty: Mapping[str, float] | None = None,
    lesion_deviation: FloatArray | None = None,
) -> list[Finding]:
    """One finding a connected lesion (8-connectivity, within a class), largest first.

    Args:
        mask: (rows, cols) label map.
        lesion_probability: (rows, cols) in [0, 1].
        class_probabilities: of the image; ``benign`` and ``malignant`` are read.
        spacing: (between rows, between columns) in mm, None where unknown: sizes are then in pixels.
        modality: an orientation is told on ultrasound only.
        uncertainty: `Prediction.uncertainty`, of the image.
        lesion_deviation: (rows, cols), `Prediction.lesion_deviation`.
    """
    if lesion_probability.shape != mask.shape:
        raise ValueError(
            "mask and lesion_probability must have one shape; "
            f"got {mask.shape} and {lesion_probability.shape}"
        )
    findings: list[Finding] = []
    # Components are sought where something is painted: on a film, in a hundredth of its pixels.
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return findings
    top, left = int(rows[0]), int(cols[0])
    painted = mask[top : rows[-1] + 1, left : cols[-1] + 1]
    for lesion_class in (LesionClass.BENIGN, LesionClass.MALIGNANT):
        binary = (painted == lesion_class).astype(np.uint8)
        count, labels, stats, centroids = cv2.connectedComponentsWithStats(binary, connectivity=8)
        for i in range(1, count):
            col0, row0, width, height, _ = (int(v) for v in stats[i])
            region = labels[row0 : row0 + height, col0 : col0 + width] == i
            row0, col0 = row0 + top, col0 + left
            box = (slice(row0, row0 + height), slice(col0, col0 + width))
            sizes = _sizes(region, spacing)
            findings.append(
                Finding(
                    lesion_class=lesion_class,
                    probability=_given_lesion(class_probabilities, lesion_class),
                    lesion_probability=float(lesion_probability[box][region].mean()),
                    bounding_box=(row0, col0, row0 + height, col0 + width),
                    centroid=(top + float(centroids[i][1]), left + float(centroids[i][0])),
                    uncertainty=_uncertainty(uncertainty, lesion_deviation, box, region),
                    orientation=_orientation(region, spacing) if modality is Modality.US else None,
                    **sizes,
                )
            )
    return sorted(findings, key=lambda finding: -finding.area)


def _sizes(region: npt.NDArray[np.bool_], spacing: tuple[float, float] | None) -> dict[str, Any]:
    rows, cols = spacing or (1.0, 1.0)
    longest, shortest = feret_diameters(region, spacing=(rows, cols))
    return {
        "area": float(region.sum()) * rows * cols,
        "area_unit": "px2" if spacing is None else "mm2",
        "long_axis": longest,
        "short_axis": shortest,
        "length_unit": "px" if spacing is None else "mm",
    }


def _given_lesion(class_probabilities: Mapping[str, float], lesion_class: LesionClass) -> float:
    total = class_probabilities["benign"] + class_probabilities["malignant"]
    # Without any evidence for either class, both are as likely.
    return class_probabilities[lesion_class.label] / total if total > 0.0 else 0.5


def _orientation(region: npt.NDArray[np.bool_], spacing: tuple[float, float] | None) -> Orientation:
    """Parallel: wider than tall. A round mass is "not parallel" by BI-RADS' own definition."""
    rows, cols = spacing or (1.0, 1.0)
    height, width = region.shape[0] * rows, region.shape[1] * cols
    return Orientation.PARALLEL if width > height else Orientation.NOT_PARALLEL


def _uncertainty(
    uncertainty: Mapping[str, float] | None,
    deviation: FloatArray | None,
    box: tuple[slice, slice],
    region: npt.NDArray[np.bool_],
) -> dict[str, float] | None:
    if uncertainty is None:
        return None
    kept = ("class_entropy", "mutual_information", "mask_disagreement")
    scores = {key: float(uncertainty[key]) for key in kept if key in uncertainty}
    if deviation is not None:
        scores["lesion_probability_deviation"] = float(deviation[box][region].mean())
    return scores
