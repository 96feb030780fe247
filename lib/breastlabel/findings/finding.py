"""One lesion in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from breastlabel.findings.change import Change
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Finding", "Orientation"]


class Orientation(StrEnum):
    """BI-RADS orientation of a mass on ultrasound, relative to the skin (ACR BI-RADS US, 5th edition)."""

    PARALLEL = "parallel"
    NOT_PARALLEL = "not parallel"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One connected lesion.

    Attributes:
        lesion_class: benign or malignant.
        probability: of that class, given that it is a lesion: p(class) / (p(benign) + p(malignant)) of
            the image.
        lesion_probability: mean over the lesion's pixels of the probability that they are lesion.
        area: in ``area_unit``, mm2 where the spacing is known, else px2.
        bounding_box: (row0, col0, row1, col1) in the image's pixels, the last two exclusive.
        centroid: (row, col) of the centre of mass, in pixel indices (0.0 is the first pixel's centre).
        long_axis: greatest distance between two points of the lesion's outline (maximum Feret
            diameter), pixels taken as rectangles of their real size.
        short_axis: least distance between two parallel lines that hold the lesion (minimum Feret
            diameter); unit as for ``long_axis``.
        length_unit: mm where the spacing is known, else px.
        uncertainty: of each score where stochastic passes were made, else None: ``class_entropy`` and
            ``mutual_information`` (nats, of the image's class), ``lesion_probability_deviation``
            (standard deviation over the passes, mean over the lesion), ``mask_disagreement``.
        lesion_type: mass, calcification, architectural distortion, asymmetry; None where not known.
        birads: category; None where no reader gave one.
        orientation: on ultrasound with the skin at the top; None otherwise.
        change: against an older image of the same breast and view; None where none was looked for.
    """

    lesion_class: LesionClass
    probability: float
    lesion_probability: float
    area: float
    area_unit: str
    bounding_box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    long_axis: float
    short_axis: float
    length_unit: str
    uncertainty: Mapping[str, float] | None = None
    lesion_type: str | None = None
    birads: str | None = None
    orientation: Orientation | None = None
    change: Change | None = None

    def to_json(self) -> dict[str, object]:
        """Plain JSON values; sizes rounded to a hundredth, probabilities to a ten-thousandth."""
        return {
            "class": self.lesion_class.label,
            "type": self.lesion_type,
            "birads": self.birads,
            "orientation": None if self.orientation is None else self.orientation.value,
            "probability": round(self.probability, 4),
            "lesion_probability": round(self.lesion_probability, 4),
            "area": round(self.area, 2),
            "area_unit": self.area_unit,
            "bounding_box": list(self.bounding_box),
            "centroid": [round(v, 2) for v in self.centroid],
            "long_axis": round(self.long_axis, 2),
            "short_axis": round(self.short_axis, 2),
            "length_unit": self.length_unit,
            "uncertainty": None
            if self.uncertainty is None
            else {key: round(value, 4) for key, value in self.uncertainty.items()},
            **({} if self.change is None else {"change": self.change.to_json()}),
        }
