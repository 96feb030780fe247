"""One patient's phantom mammograms in memory: both breasts, CC and MLO, and a prior exam or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from breastlabel.datasets.mammogram_breast import Breast, Frame, Projection, draw_breast
from breastlabel.datasets.mammogram_finding import (
    Finding,
    draw_age,
    draw_density,
    draw_lesion,
    draw_superposition,
    earlier,
)
from breastlabel.datasets.mammogram_lesion import add_coarse_calcifications, add_finding
from breastlabel.datasets.mammogram_tissue import GlandSolid, Texture, draw_gland, draw_tissue
from breastlabel.datasets.mammogram_vendor import Machine, MachineStyle, burn_marker, develop
from breastlabel.errors import StudiesError
from breastlabel.imaging.image import FloatArray, LabelArray
from breastlabel.imaging.vocabulary import Density, Laterality, LesionClass, ViewPosition

__all__ = ["MammogramView", "mammogram_exam"]

MIN_SIZE = 64
"""Smallest rows and columns; a lesion of smaller pictures would be a few pixels wide."""
SHAPE = (1024, 832)
PRIOR_SHARE = 1 / 3
_VIEWS = (ViewPosition.CC, ViewPosition.MLO)
_CLASS_SHARES = (0.4, 0.3, 0.3)


@dataclass(frozen=True)
class MammogramView:
    """One image with its truth and what is known of it.

    Attributes:
        pixels: float32 (rows, cols), whole numbers of 0 to 2 ** bits - 1, bright is dense. The chest wall is
            at the left edge of left breasts and at the right edge of right ones.
        mask: label map, uint8 (rows, cols).
        spacing_mm: of square pixels.
        label: what this image shows: a prior from before the lesion is normal.
        lesion_type: of the lesion; None for a normal image.
        nipple: (row, col) of the nipple's base.
        lesion: (row, col) of the lesion's centre; None for a normal image.
        superposition: normal tissue looks like a mass here, and in this view only.
        masked: the lesion is hidden by dense tissue in this view.
        is_prior: of the older exam.
        age: in years, when acquired.
    """

    pixels: FloatArray
    mask: LabelArray
    spacing_mm: float
    laterality: Laterality
    view_position: ViewPosition
    label: LesionClass
    lesion_type: str | None
    nipple: tuple[float, float]
    lesion: tuple[float, float] | None
    superposition: bool
    masked: bool
    is_prior: bool
    acquired: date
    age: int
    density: Density
    machine: MachineStyle


def mammogram_exam(
    seed: int,
    *,
    shape: tuple[int, int] = SHAPE,
    classes: Sequence[LesionClass] | None = None,
    prior: bool | None = None,
    density: Density | None = None,
    machine: Machine | None = None,
) -> list[MammogramView]:
    """One patient's images, oldest exam first, right before left, CC before MLO; a function of the arguments.

    The rules and their probabilities are those of `mammogram_finding`.

    Args:
        seed: of the patient.
        shape: (rows, cols) of every image; the field of view is about 24 cm high, whatever the pixels.
        classes: of the right and the left breast; by default 40 % normal, 30 % benign, 30 % malignant.
        prior: whether there is an older exam; by default in a third of the patients.
        density: by default by age.
        machine: that of both exams; by default any, and another one at the older exam half the time.

    Raises:
        StudiesError: the shape is smaller than 64 x 64, the seed negative, or not two classes.
    """
    if min(shape) < MIN_SIZE:
        raise StudiesError(
            f"a mammogram of at least {MIN_SIZE} x {MIN_SIZE} pixels is required; "
            f"got {shape[0]} x {shape[1]}; choose a larger shape"
        )
    if seed < 0:
        raise StudiesError(f"a seed of 0 or more is required; got {seed}; choose another")
    if classes is not None and len(classes) != 2:
        raise StudiesError(f"a class for each of two breasts is required; got {len(classes)}; give R and L")
    rng = np.random.default_rng([seed, 400])
    drawn = [LesionClass(int(c)) for c in rng.choice(3, 2, p=_CLASS_SHARES)]
    labels = [LesionClass(c) for c in classes] if classes is not None else drawn
    with_prior = rng.random() < PRIOR_SHARE
    with_prior = with_prior if prior is None else prior
    age = draw_age(np.random.default_rng([seed, 401]), max(labels))
    of_patient = density or draw_density(np.random.default_rng([seed, 402]), age)
    newest = date(2020, 1, 1) + timedelta(days=int(rng.integers(0, 1800)))
    years = float(rng.uniform(1.0, 3.0))
    exams = [(newest, age, False)]
    if with_prior:
        older = newest - timedelta(days=round(years * 365.25))
        # Phantoms are born on the first of January.
        exams.insert(0, (older, age - (newest.year - older.year), True))
    machines = [list(Machine)[i] for i in rng.integers(len(Machine), size=2)]
    same = bool(rng.random() < 0.5)
    sides = [_Side.draw(seed, index, labels[index], of_patient) for index in range(2)]
    views = []
    for acquired, years_old, is_prior in exams:
        used = machine or machines[1 if is_prior and not same else 0]
        for side in sides:
            views += [
                side.view(view, shape, used.style, is_prior=is_prior, acquired=acquired, age=years_old)
                for view in _VIEWS
            ]
    return views


@dataclass(frozen=True)
class _Side:
    """A breast and what there is to find in it."""

    seed: tuple[int, int]
    laterality: Laterality
    breast: Breast
    gland: GlandSolid
    lesion: Finding | None

    @classmethod
    def draw(cls, patient: int, index: int, label: LesionClass, density: Density) -> _Side:
        seed = (patient, index)
        breast = draw_breast(
            np.random.default_rng([patient, 403]), np.random.default_rng([*seed, 404]), density
        )
        return cls(
            seed=seed,
            laterality=(Laterality.R, Laterality.L)[index],
            breast=breast,
            gland=draw_gland(seed, Projection(breast, ViewPosition.CC)),
            lesion=None if label is LesionClass.NORMAL else draw_lesion(seed, breast, label),
        )

    def view(
        self,
        view: ViewPosition,
        shape: tuple[int, int],
        machine: MachineStyle,
        *,
        is_prior: bool,
        acquired: date,
        age: int,
    ) -> MammogramView:
        number = 2 * _VIEWS.index(view) + int(is_prior)
        rng = np.random.default_rng([*self.seed, number, 405])
        projection = Projection(self.breast, view)
        frame = _frame(rng, projection, shape, machine.field_mm / shape[0])
        # One texture a view, whatever the date.
        tissue = draw_tissue(projection, self.gland, frame, Texture((*self.seed, _VIEWS.index(view), 406)))
        attenuation = tissue.attenuation
        mask = np.zeros(shape, np.uint8)
        lesion = earlier(self.lesion) if is_prior and self.lesion is not None else self.lesion
        if lesion is not None:
            add_finding(attenuation, mask, lesion, projection, frame)
        look_alike = draw_superposition((*self.seed, int(is_prior)), self.breast, normal=self.lesion is None)
        if look_alike is not None:
            add_finding(attenuation, mask, look_alike, projection, frame)
        add_coarse_calcifications(attenuation, projection, frame, self.seed)
        pixels = develop(rng, attenuation, tissue.inside, machine, frame.spacing)
        return self._shown(
            pixels, mask, tissue.inside, projection, frame, machine, lesion, look_alike,
            is_prior=is_prior, acquired=acquired, age=age,
        )  # fmt: skip

    def _shown(
        self,
        pixels: FloatArray,
        mask: LabelArray,
        inside: npt.NDArray[np.bool_],
        projection: Projection,
        frame: Frame,
        machine: MachineStyle,
        lesion: Finding | None,
        look_alike: Finding | None,
        *,
        is_prior: bool,
        acquired: date,
        age: int,
    ) -> MammogramView:
        """Turned so that the chest wall is where it is shown, and marked."""
        right = self.laterality is Laterality.R
        if right:
            pixels, mask, inside = pixels[:, ::-1].copy(), mask[:, ::-1].copy(), inside[:, ::-1]
        burn_marker(pixels, inside, f"{self.laterality} {projection.view}", machine, frame.spacing)

        def where(u: float, v: float) -> tuple[float, float]:
            row, col = frame.pixel(u, v)
            return row, frame.shape[1] - 1 - col if right else col

        shown = projection.view
        return MammogramView(
            pixels=pixels,
            mask=mask,
            spacing_mm=frame.spacing,
            laterality=self.laterality,
            view_position=shown,
            label=LesionClass.NORMAL if lesion is None else lesion.label,
            lesion_type=None if lesion is None else lesion.kind.value,
            nipple=where(projection.depth, 0.0),
            lesion=None if lesion is None else where(*projection.project(lesion.place)),
            superposition=look_alike is not None and shown in look_alike.suspicion,
            masked=lesion is not None and lesion.masked is not None and lesion.masked[0] is shown,
            is_prior=is_prior,
            acquired=acquired,
            age=age,
            density=self.breast.density,
            machine=machine,
        )


def _frame(rng: np.random.Generator, projection: Projection, shape: tuple[int, int], spacing: float) -> Frame:
    """How the breast lies on the detector this time."""
    height = shape[0] * spacing
    oblique = projection.view is ViewPosition.MLO
    return Frame(
        shape=shape,
        spacing=float(f"{spacing:.6g}"),
        nipple_row=float(height * (0.57 if oblique else 0.5) + rng.normal(0, 5)),
        depth=projection.depth,
        turn=float(rng.normal(0, 0.03)),
        scale=float(rng.normal(1.0, 0.015)),
        shift=float(rng.normal(0, 1.5)),
    )
