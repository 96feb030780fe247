"""Which images belong together: the exams of a patient, and the sequence of one breast.

Nothing is guessed. Images belong to one patient only where they carry one patient key, to one breast only
where they name one side, and an exam is older only where both dates are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from breastlabel.imaging.vocabulary import Laterality, Modality, ViewPosition

__all__ = ["BreastSequence", "Exam", "LeftOut", "View", "assemble_exams", "breast_sequence"]

#: CC before MLO, then DICOM's others, then what is not known.
_VIEW_ORDER = {view: place for place, view in enumerate(ViewPosition)}


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
    image of which neither is known is an exam of its own.
    """
    raise NotImplementedError


def breast_sequence(
    target: View, candidates: Iterable[View], *, views: bool = True, priors: bool = True
) -> BreastSequence:
    """The sequence for the breast and the exam that an image shows.

    Args:
        target: the image that is asked about; always in the sequence.
        candidates: images that may belong to it; ``target`` may be among them.
        views: whether other views of the same exam are wanted.
        priors: whether older exams are.
    """
    raise NotImplementedError
