"""``breastlabel predict`` for mammograms: files that are given together are put together by their headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.commands.predict import Answered, read_file, write_answer
from breastlabel.errors import BreastLabelError
from breastlabel.findings import BreastResults
from breastlabel.imaging import BreastImage, FloatArray, Modality, image_stem
from breastlabel.imaging.dicom import header_facts
from breastlabel.imaging.exams import View
from breastlabel.imaging.files import is_dicom

if TYPE_CHECKING:
    from breastlabel.inference import BreastAnswer, EnsemblePredictor, Predictor

__all__ = ["file_view", "predict_breasts"]

_HELD = 8
"""Images kept in memory, for the case that a prior's own exam comes next; a full-size film takes 54 MB."""


def predict_breasts(
    predictor: Predictor | EnsemblePredictor, files: Sequence[Path], output: Path, *, model: str, **asked: Any
) -> Iterator[Answered]:
    """Judge each breast in each of its exams, once, and answer for every image of that exam.

    An image of an older exam is a prior of the newer one, and is judged by itself without it.

    Args:
        asked: arguments of `Predictor.predict_sequence`.
    """
    from breastlabel.inference import predict_breast

    by_id = {image_stem(file): file for file in files}
    views = {image_id: file_view(file) for image_id, file in by_id.items()}

    @lru_cache(maxsize=_HELD)
    def read(image_id: str) -> BreastImage:
        return read_file(by_id[image_id], Modality.MG)

    answered: set[str] = set()
    for image_id, file in by_id.items():
        if image_id in answered:
            continue
        answered.add(image_id)
        try:
            answer = predict_breast(
                predictor, views[image_id], views.values(), read=read, context=_context, **asked
            )
        except BreastLabelError as error:
            yield file, error
            continue
        asked_for = [view.image_id for view in answer.sequence.newest.views]
        answered.update(asked_for)
        yield from _write(answer, asked_for, by_id, output, model)


def file_view(file: Path) -> View:
    """A file's place among others, by its DICOM header; nothing is known of files of other kinds."""
    image_id = image_stem(file)
    # Whatever is wrong with the file is said when its pixels are read.
    with suppress(BreastLabelError, OSError):
        if is_dicom(file):
            facts = header_facts(file)
            return View(
                image_id=image_id,
                modality=Modality.MG,
                patient_key=facts.keys.patient,
                exam_key=facts.keys.study,
                acquired=facts.acquired,
                laterality=facts.laterality,
                view_position=facts.view_position,
                not_analysable=facts.not_analysable,
            )
    return View(image_id=image_id, modality=Modality.MG)


def _context(image_id: str, image: BreastImage, newest: date | None, is_prior: bool) -> FloatArray:
    from breastlabel.datasets.sequences import context_of

    return context_of(image, newest, is_prior=is_prior)


def _write(
    answer: BreastAnswer, image_ids: Sequence[str], files: dict[str, Path], output: Path, model: str
) -> Iterator[Answered]:
    results = BreastResults(answer.prediction, answer.images, answer.sequence, ids=image_ids)
    for image_id in image_ids:
        index, file = answer.index(image_id), files[image_id]
        result = {"file": file.name, "model": model, **results.result(index)}
        others = [files[view.image_id] for view in answer.sequence.views if view.image_id != image_id]
        try:
            write_answer(
                output, file, answer.images[index], answer.prediction.images[index], result, others=others
            )
        except BreastLabelError as error:
            yield file, error
        else:
            yield file, result
