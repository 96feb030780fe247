"""Which images belong together: the exams of a patient, and the sequence of one breast.

Nothing is guessed. Images belong to one patient only where they carry one patient key, to one breast only
where they name one side, and an exam is older only where both dates are known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar, cast

from breastlabel.imaging.vocabulary import Laterality, Modality, ViewPosition

__all__ = ["BreastSequence", "Exam", "LeftOut", "View", "assemble_exams", "breast_sequence"]

#: CC before MLO, then DICOM's others, then what is not known.
_VIEW_ORDER = {view: place for place, view in enumerate(ViewPosition)}
_SIDE_ORDER = {side: place for place, side in enumerate(Laterality)}
_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True)
class View:
    """One image, as far as its place among others goes; it has no pixels.

    Attributes:
        image_id: tells the images of a patient apart.
        patient_key: None where it is not known whose the image is; it then stands alone.
        exam_key: the study, where one is named; images of one key are one exam.
        acquired: None where unknown.
        not_analysable: why the image is kept out of sequences (spot view, specimen); else None.
    """

    image_id: str
    modality: Modality
    patient_key: str | None = None
    exam_key: str | None = None
    acquired: date | None = None
    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    not_analysable: str | None = None


@dataclass(frozen=True)
class Exam:
    """The images of one patient at one date.

    Attributes:
        views: right before left, CC before MLO, then by id.
    """

    patient_key: str | None
    exam_key: str | None
    acquired: date | None
    views: tuple[View, ...]


@dataclass(frozen=True)
class LeftOut:
    """An image of the same patient that does not belong to the sequence, and why, in a few words."""

    image_id: str
    reason: str


@dataclass(frozen=True)
class BreastSequence:
    """What is looked at to judge one breast.

    Attributes:
        exams: oldest to newest, each with the views of this breast only; one exam or more.
        left_out: images of the patient that are not in it.
        notes: what the sequence lacks for want of knowledge, in plain sentences ("the image names no side").
    """

    exams: tuple[Exam, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def views(self) -> tuple[View, ...]:
        """All images, oldest exam first, CC before MLO within an exam."""
        return tuple(view for exam in self.exams for view in exam.views)

    @property
    def newest(self) -> Exam:
        """The exam that is judged."""
        return self.exams[-1]

    @property
    def laterality(self) -> Laterality | None:
        """The breast's side."""
        return self.newest.views[0].laterality


def assemble_exams(views: Iterable[View]) -> list[Exam]:
    """The exams that images form: by patient, oldest first, those without a date last.

    Images of a patient belong to one exam if they share a key, or, where one of them has none, a date. An
    image of which neither is known is an exam of its own, and so is one whose patient is not known. Where
    several keyed exams are of one date, nothing tells which of them an image without a key belongs to: it
    joins none. An exam's date is the earliest of its images. The order in which the images come does not
    matter.
    """
    exams = [
        exam
        for patient, members in _by(views, lambda v: v.patient_key)
        for exam in _exams_of(patient, members)
    ]
    return sorted(exams, key=lambda e: (_last(e.patient_key), _last(e.acquired), _last(e.exam_key), _ids(e)))


def breast_sequence(
    target: View, candidates: Iterable[View], *, views: bool = True, priors: bool = True
) -> BreastSequence:
    """The sequence for the breast and the exam that an image shows.

    Only analysable images of the same patient, side and modality take part: those of the same exam
    (`assemble_exams`), and those of exams that are strictly older. An image that names no patient or no side,
    or cannot be analysed, stands alone.

    Args:
        target: the image that is asked about; always in the sequence.
        candidates: images that may belong to it; ``target`` may be among them, and images of others.
        views: whether other views of the same exam are wanted; without them, older exams give only images in
            the target's own view.
        priors: whether older exams are.
    """
    known = {v.image_id: v for v in candidates if _same_patient(v, target)}
    known[target.image_id] = target
    exam_of = {v.image_id: exam for exam in assemble_exams(known.values()) for v in exam.views}
    notes, alone = _stands_alone(target)
    newest = exam_of[target.image_id]
    if priors and not alone and newest.acquired is None:
        notes.append("the exam has no date, so no older exam was looked for")
    taken, left_out = {target.image_id}, []
    for image_id in sorted(known.keys() - taken):
        view = known[image_id]
        reason = (
            alone
            or _unsuitable(view, target)
            or _out_of_place(view, exam_of[image_id], target, newest, views=views, priors=priors)
        )
        if reason is None:
            taken.add(image_id)
        else:
            left_out.append(LeftOut(image_id, reason))
    exams = []
    for exam in dict.fromkeys((*(e for e in exam_of.values() if e is not newest), newest)):
        of_breast = tuple(view for view in exam.views if view.image_id in taken)
        if of_breast:
            exams.append(replace(exam, views=of_breast))
    return BreastSequence(tuple(exams), tuple(left_out), tuple(notes))


def _exams_of(patient: str | None, members: list[View]) -> list[Exam]:
    if patient is None:
        return [_exam(None, view.exam_key, [view]) for view in members]
    keyed = {key: of_key for key, of_key in _by(members, lambda v: v.exam_key) if key is not None}
    exams_on: dict[date, set[str]] = {}
    for key, of_key in keyed.items():
        for acquired in {view.acquired for view in of_key} - {None}:
            exams_on.setdefault(cast(date, acquired), set()).add(key)
    exams = []
    for acquired, of_date in _by((v for v in members if v.exam_key is None), lambda v: v.acquired):
        on_that_day = exams_on.get(acquired, set()) if acquired else set()
        if len(on_that_day) == 1:
            keyed[next(iter(on_that_day))] += of_date
        elif acquired is None:
            exams += [_exam(patient, None, [view]) for view in of_date]
        else:
            exams.append(_exam(patient, None, of_date))
    return exams + [_exam(patient, key, of_key) for key, of_key in keyed.items()]


def _exam(patient: str | None, key: str | None, views: list[View]) -> Exam:
    dates = [view.acquired for view in views if view.acquired is not None]
    return Exam(patient, key, min(dates, default=None), tuple(sorted(views, key=_view_order)))


def _stands_alone(target: View) -> tuple[list[str], str | None]:
    """What the answer must say of the target; and why no other image joins it, None where others may."""
    if target.not_analysable is not None:
        note = f"the image is not analysable ({target.not_analysable}), so no other image was looked for"
        return [note], "the image asked about is not analysable"
    if target.patient_key is None:
        return ["the image names no patient, so no other image was looked for"], "names no patient"
    if target.laterality is None:
        note = "the image names no side, so no other view was looked for"
        return [note], "the image asked about names no side"
    if target.exam_key is None and target.acquired is None:
        note = "the image names neither study nor date, so no other view was looked for"
        return [note], "the image asked about names neither study nor date"
    return [], None


def _unsuitable(view: View, target: View) -> str | None:
    if view.modality is not target.modality:
        return "another modality"
    if view.not_analysable is not None:
        return f"not analysable: {view.not_analysable}"
    if view.laterality is None:
        return "names no side"
    return None if view.laterality is target.laterality else "the other breast"


def _out_of_place(
    view: View, exam: Exam, target: View, newest: Exam, *, views: bool, priors: bool
) -> str | None:
    """Why an image of the breast is not wanted; None where it is."""
    if exam is newest:
        return None if views else "another view, which is not used"
    if exam.acquired is None:
        return "no date"
    if newest.acquired is None:
        return "another exam, and that of the image asked about has no date"
    if exam.acquired >= newest.acquired:
        return "a later exam" if exam.acquired > newest.acquired else "another exam of the same date"
    if not priors:
        return "an older exam, which is not used"
    if not views and (view.view_position is None or view.view_position is not target.view_position):
        return "another view, which is not used"
    return None


def _same_patient(view: View, target: View) -> bool:
    return view.patient_key is not None and view.patient_key == target.patient_key


def _view_order(view: View) -> tuple[object, ...]:
    side = _SIDE_ORDER[view.laterality] if view.laterality else len(_SIDE_ORDER)
    place = _VIEW_ORDER[view.view_position] if view.view_position else len(_VIEW_ORDER)
    return side, place, view.image_id


def _by(views: Iterable[View], key: Callable[[View], _K]) -> list[tuple[_K, list[View]]]:
    groups: dict[_K, list[View]] = {}
    for view in views:
        groups.setdefault(key(view), []).append(view)
    return list(groups.items())


def _last(value: object) -> tuple[bool, str]:
    """Sorts None behind everything else; dates sort as their ISO text."""
    return value is None, str(value)


def _ids(exam: Exam) -> list[str]:
    return [view.image_id for view in exam.views]
