"""The images that a studies folder has of one breast, and the cases for training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from breastlabel.catalog import Catalog, ImageRecord
from breastlabel.catalog.models import FILE_MISSING
from breastlabel.catalog.patients import acquired_on
from breastlabel.errors import StudiesError
from breastlabel.imaging import BreastImage, Density, FloatArray, LesionClass
from breastlabel.imaging.context import image_context
from breastlabel.imaging.exams import BreastSequence, LeftOut, View, assemble_exams, breast_sequence

__all__ = [
    "NOT_ANALYSABLE",
    "BreastCase",
    "breast_cases",
    "context_of",
    "sequence_of",
    "view_of",
    "view_of_image",
    "worst_class",
]

NOT_ANALYSABLE = "not_analysable"
"""Where an image's metadata say why it is never scored and never part of a sequence (spot view, specimen)."""


@dataclass(frozen=True)
class BreastCase:
    """What one class is predicted for: a breast in one exam, or an image alone.

    Attributes:
        key: tells cases apart: the id of the first image of its newest exam.
        sequence: ids of all images, oldest exam first, CC before MLO within an exam.
        newest: ids of those that show the breast in the exam that is judged; the end of ``sequence``.
        label: the worst class that is known of an image of the newest exam; None where none is.
        group: images that must never be parted by a split.
        acquired: date of the newest exam; None where unknown.
    """

    key: str
    sequence: tuple[str, ...]
    newest: tuple[str, ...]
    label: LesionClass | None
    group: str
    split: str | None
    acquired: date | None = None


def view_of(record: ImageRecord) -> View:
    """An image's place among others, by the catalog.

    A patient key that stands for an image or a group of near-duplicates, because nobody named a patient, is
    no patient's.
    """
    invented = (f"{record.dataset}:{record.group}", f"{record.dataset}:{record.image_id}")
    return View(
        image_id=record.image_id,
        modality=record.modality,
        patient_key=None if record.patient_key in ("", *invented) else record.patient_key,
        exam_key=record.study_key,
        acquired=acquired_on(record),
        laterality=record.laterality,
        view_position=record.view_position,
        not_analysable=_reason(record.metadata),
    )


def view_of_image(image_id: str, image: BreastImage) -> View:
    """An image's place among others, by its own file; images compared must be read in one process."""
    return View(
        image_id=image_id,
        modality=image.modality,
        patient_key=image.patient_key,
        exam_key=image.study_key,
        acquired=image.acquisition_date,
        laterality=image.laterality,
        view_position=image.view_position,
        not_analysable=_reason(image.metadata),
    )


def context_of(
    image: ImageRecord | BreastImage, newest: date | None = None, *, is_prior: bool = False
) -> FloatArray:
    """What is known of an image beside its pixels, float32 (CONTEXT_SIZE,), as `image_context`.

    Args:
        image: as the catalog knows it, or as its file was read.
        newest: date of the newest exam of its sequence.
        is_prior: whether the image is of an older exam than that.
    """
    if isinstance(image, BreastImage):
        acquired, density, machine = image.acquisition_date, image.density, image.machine_id
        age, implant, manufacturer = image.age, image.implant, image.manufacturer
    else:
        known = image.metadata
        acquired, density = acquired_on(image), _density(known.get("density"))
        machine, manufacturer = known.get("machine"), known.get("manufacturer")
        age, implant = _number(known.get("age")), known.get("implant")
    return image_context(
        view_position=image.view_position,
        acquired=acquired,
        newest=newest,
        is_prior=is_prior,
        age=age,
        density=density,
        implant=implant if isinstance(implant, bool) else None,
        machine=" ".join(str(part).strip() for part in (manufacturer, machine) if part) or None,
    )


def sequence_of(
    catalog: Catalog, image_id: str, *, views: bool = True, priors: bool = True
) -> BreastSequence:
    """The images of the catalog that belong to the breast and the exam that one of them shows.

    Excluded images, and those whose files are gone, are left out; the image asked about never is. Only the
    images of the same patient are looked at.

    Args:
        image_id: the image that is asked about.
        views: whether other views of the same exam are wanted.
        priors: whether older exams are.

    Raises:
        NotFoundError: the catalog has no such image.
    """
    record = catalog.image(image_id)
    target = view_of(record)
    others = catalog.images_of_patient(record.patient_key) if target.patient_key else []
    unusable = {r.image_id: reason for r in others if (reason := _unusable(catalog, r)) is not None}
    unusable.pop(image_id, None)
    usable = [view_of(r) for r in others if r.image_id not in unusable]
    sequence = breast_sequence(target, usable, views=views, priors=priors)
    left_out = [*sequence.left_out, *(LeftOut(i, reason) for i, reason in unusable.items())]
    return replace(sequence, left_out=tuple(sorted(left_out, key=lambda left: left.image_id)))


def breast_cases(
    records: Iterable[ImageRecord], *, views: bool = True, priors: bool = True
) -> list[BreastCase]:
    """The cases that images form, sorted by key.

    A case is one breast of one patient in one exam, with its older exams; an image without patient, side,
    or study and date is a case of its own. Excluded images and those that are not analysable are in none.

    Args:
        records: of one split or of several.
        views: whether the views of a breast are one case; without them each image is one.
        priors: whether older exams are part of a case.

    Raises:
        StudiesError: the images of a patient are in several splits.
    """
    by_id = {r.image_id: r for r in records if r.excluded is None and _reason(r.metadata) is None}
    _check_splits(by_id.values())
    cases: list[BreastCase] = []
    for patient in _patients(by_id.values()):
        placed: set[str] = set()
        for target in (view for exam in assemble_exams(patient) for view in exam.views):
            if target.image_id not in placed:
                sequence = breast_sequence(target, patient, views=views, priors=priors)
                cases.append(_case(sequence, by_id))
                placed.update(cases[-1].newest)
    return sorted(cases, key=lambda case: case.key)


def worst_class(classes: Iterable[LesionClass | None]) -> LesionClass | None:
    """The worst of the known classes: malignant before benign before normal; None where none is known."""
    return max((c for c in classes if c is not None), default=None)


def _case(sequence: BreastSequence, records: Mapping[str, ImageRecord]) -> BreastCase:
    newest = tuple(view.image_id for view in sequence.newest.views)
    shown = [records[image_id] for image_id in newest]
    return BreastCase(
        key=newest[0],
        sequence=tuple(view.image_id for view in sequence.views),
        newest=newest,
        label=worst_class(LesionClass[r.label.upper()] if r.label else None for r in shown),
        group=min(r.group for r in shown),
        split=next((r.split for r in shown if r.split is not None), None),
        acquired=sequence.newest.acquired,
    )


def _patients(records: Iterable[ImageRecord]) -> list[list[View]]:
    """The views of each patient; of an image whose patient is not known, that image alone."""
    patients: dict[tuple[str, str], list[View]] = {}
    for record in records:
        view = view_of(record)
        key = ("image", view.image_id) if view.patient_key is None else ("patient", view.patient_key)
        patients.setdefault(key, []).append(view)
    return list(patients.values())


def _check_splits(records: Iterable[ImageRecord]) -> None:
    splits: dict[str, str] = {}
    for record in records:
        split = record.split or ""
        # Without a key there is no telling whose images they are.
        if split and record.patient_key and splits.setdefault(record.patient_key, split) != split:
            raise StudiesError(
                f"all images of a patient must be in one split; "
                f"those of the patient of {record.image_id} are in "
                f"{splits[record.patient_key]} and {split}; exclude some of them, or give them one split"
            )


def _unusable(catalog: Catalog, record: ImageRecord) -> str | None:
    if record.excluded == FILE_MISSING or (
        catalog.studies is not None and not catalog.path(record).is_file()
    ):
        return "its file is missing"
    return None if record.excluded is None else f"excluded: {record.excluded}"


def _reason(metadata: Mapping[str, Any]) -> str | None:
    reason = metadata.get(NOT_ANALYSABLE)
    return str(reason) if reason else None


def _density(value: object) -> Density | None:
    return next((density for density in Density if density == value), None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
