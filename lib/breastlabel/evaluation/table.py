"""What is known of each evaluated image, small enough to hold for thousands of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from breastlabel.evaluation.lesions import LesionMatch

__all__ = ["NAN", "Case", "EvaluationTable", "Picture"]

NAN = float("nan")

Outline = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Picture:
    """A small copy of an image with both outlines, for the report.

    Attributes:
        png: the grey image, encoded.
        reader: polygons (points, 2) of (column, row) in the small image.
        model: the same for the model's outlines.
    """

    png: bytes
    reader: tuple[Outline, ...] = ()
    model: tuple[Outline, ...] = ()


@dataclass(frozen=True)
class Case:
    """One image: what the reader says, what the model says, and how far apart they are.

    Attributes:
        image_id: names the image in reports.
        group: the unit of the bootstrap (patient, with near-duplicates); never written anywhere.
        patient: patient key, counted, never written anywhere.
        dataset: where the image comes from.
        label: class index by the reader, None where unknown.
        probabilities: of normal, benign, malignant.
        predicted: the model's decision.
        reader_area: outlined pixels; 0 on a normal image, NaN where no label map exists.
        model_area: painted pixels.
        dice, iou: NaN where nothing was outlined by either, or no label map exists.
        hd95_px, assd_px: boundary distances in pixels, NaN where either outline is missing.
        hd95_mm, assd_mm: the same in mm; NaN without spacing as well.
        has_spacing: whether the image knows its pixel spacing.
        match: lesions and candidates; None where no label map exists.
        area_fraction: outlined share of the image.
        diameter_mm: of the circle with the outlined area; NaN without spacing.
        contrast: see `appearance.lesion_contrast`.
        border: see `appearance.border_sharpness`.
        age: years, NaN where unknown.
        density, view, machine, type: subgroup names, None where unknown.
        peak_in_lesion: whether the heat map's peak lies in the reader's outline; None where not asked.
        invasive: whether the cancer of a breast is invasive and not in situ; None where nobody says so.
        invasive_probability: by the model, if there is a cancer; None where it does not tell.
        breast: key of the breast that was judged as one; None where the image was judged by itself.
        seconds: by stage.
        box_match: lesions and the model's boxes; None where nobody drew the lesions, or the model no boxes.
        picture: None where none was kept.
    """

    image_id: str
    group: str
    patient: str
    probabilities: tuple[float, float, float]
    predicted: int
    label: int | None = None
    dataset: str = ""
    reader_area: float = NAN
    model_area: float = 0.0
    dice: float = NAN
    iou: float = NAN
    hd95_px: float = NAN
    assd_px: float = NAN
    hd95_mm: float = NAN
    assd_mm: float = NAN
    has_spacing: bool = False
    match: LesionMatch | None = None
    area_fraction: float = NAN
    diameter_mm: float = NAN
    contrast: float = NAN
    border: float = NAN
    age: float = NAN
    density: str | None = None
    view: str | None = None
    machine: str | None = None
    type: str | None = None
    peak_in_lesion: bool | None = None
    invasive: bool | None = None
    invasive_probability: float | None = None
    breast: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    box_match: LesionMatch | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class EvaluationTable:
    """The evaluated images, and their columns as arrays (images,).

    Attributes:
        breasts: where breasts were judged and not images, one row for each of them; else None.
    """

    cases: tuple[Case, ...]
    breasts: EvaluationTable | None = None

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def judged(self) -> EvaluationTable:
        """One row for each class that was given: of the breasts, else of the images."""
        return self if self.breasts is None else self.breasts

    def judged_members(self, members: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Rows of `judged` to which some of the images (images,) belong."""
        if self.breasts is None:
            return members
        keys = {case.breast for case, member in zip(self.cases, members, strict=True) if member}
        return np.array([case.breast in keys for case in self.breasts.cases], dtype=bool)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A numeric field of all images; NaN where it is None."""
        values = [getattr(case, name) for case in self.cases]
        return np.array([NAN if value is None else float(value) for value in values], dtype=np.float64)

    def names(self, name: str) -> list[str | None]:
        """A text field of all images."""
        return [getattr(case, name) for case in self.cases]

    @cached_property
    def groups(self) -> list[str]:
        """The unit of the bootstrap, for each image."""
        return [case.group for case in self.cases]

    @cached_property
    def n_patients(self) -> int:
        """How many different patients there are."""
        return len({case.patient for case in self.cases})

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """(images, 3)."""
        return np.array([case.probabilities for case in self.cases], dtype=np.float64).reshape(-1, 3)

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The model's decisions."""
        return np.array([case.predicted for case in self.cases], dtype=np.int64)

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """The reader's classes, -1 where unknown."""
        return np.array([-1 if c.label is None else c.label for c in self.cases], dtype=np.int64)

    @cached_property
    def has_lesion(self) -> npt.NDArray[np.bool_]:
        """Images with an outlined lesion."""
        return np.nan_to_num(self.numbers("reader_area")) > 0

    @cached_property
    def lesion_dice(self) -> npt.NDArray[np.float64]:
        """Dice of the images that have a lesion, NaN for the others."""
        return np.where(self.has_lesion, self.numbers("dice"), NAN)

    @cached_property
    def lesion_iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of the images that have a lesion, NaN for the others."""
        return np.where(self.has_lesion, self.numbers("iou"), NAN)

    @cached_property
    def distance_unit(self) -> str:
        """``mm`` where every image knows its spacing, else ``px``."""
        return "mm" if self.cases and all(case.has_spacing for case in self.cases) else "px"

    @property
    def matches(self) -> list[LesionMatch]:
        """Lesions and candidates of the images with a label map."""
        return [case.match for case in self.cases if case.match is not None]
