"""How a checkpoint's numbers become an answer: calibration, refinement, thresholds, morphology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.image import FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference.calibration import apply_temperature, two_classes
from breastlabel.inference.morphology import BoolArray, clean_mask, threshold
from breastlabel.inference.superpixels import refine

__all__ = ["Readout", "by_class"]

_MIN_AREA_FRACTION = 0.001


@dataclass(frozen=True)
class Readout:
    """What a checkpoint says of reading its network's answers.

    Attributes:
        temperature: the logits are divided by it before the softmax.
        mask_threshold: probability from which a pixel belongs to a lesion.
        normal_threshold: probability of normal from which nothing is shown.
        min_area_fraction: of the image; smaller regions are dropped.
        largest_only: whether only the largest region is kept.
        superpixels: whether SLIC superpixels refine the mask.
        superpixel_options: of `refine`.
        operating_point: probability of malignancy from which a case is called positive, chosen for a stated
            sensitivity; None where none was chosen.
        invasive_temperature: by which logits of invasiveness are divided.
    """

    temperature: float = 1.0
    mask_threshold: float = 0.5
    normal_threshold: float = 0.5
    min_area_fraction: float = _MIN_AREA_FRACTION
    largest_only: bool = False
    superpixels: bool = False
    superpixel_options: Mapping[str, Any] = field(default_factory=dict)
    operating_point: float | None = None
    invasive_temperature: float = 1.0

    @classmethod
    def of(cls, spec: Mapping[str, Any], *, superpixels: bool | None = None) -> Readout:
        """As a checkpoint's ``model.json`` says, with the values above where it says nothing."""
        thresholds = dict(spec.get("thresholds", {}))
        inference = dict(spec.get("inference", {}))
        point = (spec.get("operating_point") or {}).get("threshold", thresholds.get("malignant"))
        return cls(
            temperature=float(spec.get("calibration", {}).get("temperature", 1.0)),
            mask_threshold=float(thresholds.get("mask", 0.5)),
            normal_threshold=float(thresholds.get("normal", 0.5)),
            min_area_fraction=float(thresholds.get("min_area_fraction", _MIN_AREA_FRACTION)),
            largest_only=bool(inference.get("largest_only", False)),
            superpixels=bool(inference.get("superpixels", False)) if superpixels is None else superpixels,
            superpixel_options=dict(inference.get("superpixel_options", {})),
            operating_point=None if point is None else float(point),
            invasive_temperature=float(spec.get("calibration", {}).get("invasive_temperature", 1.0)),
        )

    def probabilities(self, logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities over the last axis."""
        return apply_temperature(logits, self.temperature)

    def invasive(self, logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities that a cancer is invasive, if there is one."""
        return apply_temperature(two_classes(logits), self.invasive_temperature)[..., 1]

    def refined(self, lesion: FloatArray, pixels: FloatArray) -> FloatArray:
        """A restored probability map (rows, cols), within [0, 1], after superpixels where they are on."""
        lesion = np.clip(lesion, 0.0, 1.0, out=lesion)
        return refine(lesion, pixels, **self.superpixel_options) if self.superpixels else lesion

    def region(self, lesion: FloatArray) -> BoolArray:
        """The outlined lesion in a probability map (rows, cols)."""
        # One pixel in 200: about the size of a pixel of the prepared image, on an image of any size.
        radius = round(min(lesion.shape) / 200)
        return clean_mask(
            threshold(lesion, self.mask_threshold),
            radius=radius,
            min_area_fraction=self.min_area_fraction,
            largest_only=self.largest_only,
        )

    def above_operating_point(self, malignancy: float) -> bool | None:
        """Whether a probability of malignancy reaches the operating point; None where there is none."""
        return None if self.operating_point is None else malignancy >= self.operating_point


def by_class(probabilities: npt.NDArray[np.floating[Any]]) -> dict[str, float]:
    """Probabilities (3,) under the classes' names."""
    return {c.label: float(probabilities[c]) for c in LesionClass}
