"""Runs a model over labelled breasts: one row for each breast, and one for each image of the judged exam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from breastlabel.errors import BreastLabelError
from breastlabel.evaluation.boxes import match_boxes
from breastlabel.evaluation.collect import measure_case, timed, timed_items
from breastlabel.evaluation.consistency import ViewAnswers, view_answers
from breastlabel.evaluation.evidence import Evidence, evidence_of
from breastlabel.evaluation.labelled_breasts import LabelledBreast
from breastlabel.evaluation.lesions import LesionMatch
from breastlabel.evaluation.table import Case, EvaluationTable

__all__ = ["BreastTables", "collect_breasts"]


@dataclass(frozen=True)
class BreastTables:
    """What was measured.

    Attributes:
        table: the images of the judged exams, each with its breast's class and probabilities; and its
            ``breasts``, one row each: what only an image has (outlines, distances) is undefined there.
        consistency: of the breasts with two views or more, where asked for.
        evidence: of the breasts in which something was outlined, where asked for.
    """

    table: EvaluationTable
    consistency: tuple[ViewAnswers, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def collect_breasts(
    predictor: Any,
    breasts: Iterable[LabelledBreast],
    *,
    explain: bool = True,
    pictures: bool = True,
    checks: bool = False,
    progress: Callable[[int], None] | None = None,
    on_error: Callable[[str, BreastLabelError], None] | None = None,
) -> BreastTables:
    """Predict and measure every breast; memory holds a small picture of each image, not its pixels.

    Args:
        predictor: `breastlabel.inference.Predictor`, or an ensemble.
        explain: also ask for heat maps where an image has an outline, in a second, separately timed call.
        checks: also judge each view alone, and the breast without its lesion.
        progress: called with the number of breasts done.
        on_error: called with a breast's key and why it cannot be analysed, and the rest goes on; without it
            the error is raised.
    """
    images: list[Case] = []
    rows: list[Case] = []
    consistency: list[ViewAnswers] = []
    evidence: list[Evidence] = []
    for done, (breast, read_seconds) in enumerate(timed_items(breasts), start=1):
        try:
            prediction, cases = _measure(predictor, breast, read_seconds, explain=explain, pictures=pictures)
            rows.append(_breast_row(breast, prediction, cases))
            images += cases
            if checks:
                group = rows[-1].group
                contradiction = view_answers(predictor, breast, prediction, group)
                consistency += [] if contradiction is None else [contradiction]
                masked = evidence_of(predictor, breast, prediction, group)
                evidence += [] if masked is None else [masked]
        except BreastLabelError as error:
            if on_error is None:
                raise
            on_error(breast.key, error)
        if progress is not None:
            progress(done)
    table = EvaluationTable(tuple(images), EvaluationTable(tuple(rows)))
    return BreastTables(table, tuple(consistency), tuple(evidence))


def _measure(
    predictor: Any, breast: LabelledBreast, read_seconds: float, *, explain: bool, pictures: bool
) -> tuple[Any, list[Case]]:
    shown = [labelled.image for labelled in breast.images]
    known = {"contexts": breast.contexts, "newest": breast.newest}
    prediction, predict_seconds = timed(lambda: predictor.predict_sequence(shown, **known))
    seconds = {"read": read_seconds, "predict": predict_seconds}
    heats: dict[int, Any] = {}
    masks = [breast.images[i].mask for i in breast.judged]
    if explain and any(mask is not None and mask.any() for mask in masks):
        explained, seconds["explain"] = timed(
            lambda: predictor.predict_sequence(shown, **known, explain=True)
        )
        heats = {i: explained.images[i].heat_map for i in breast.judged}
    # A request is for a breast; what it takes is shared by the images that are judged.
    shares = {name: value / len(breast.judged) for name, value in seconds.items()}
    cases = []
    for i in breast.judged:
        labelled, answer, heat = breast.images[i], prediction.images[i], heats.get(i)
        case, shares["measure"] = timed(
            lambda labelled=labelled, answer=answer, heat=heat: measure_case(  # type: ignore[misc]
                labelled, answer, heat_map=heat, picture=pictures
            )
        )
        label = None if breast.label is None else int(breast.label)
        box_match = _box_match(labelled, answer)
        cases.append(replace(case, label=label, breast=breast.key, seconds=dict(shares), box_match=box_match))
    return prediction, cases


def _box_match(labelled: Any, answer: Any) -> LesionMatch | None:
    from breastlabel.datasets.lesion_boxes import lesion_boxes

    drawn = None if answer.boxes is None else lesion_boxes(labelled.record, labelled.mask)
    if drawn is None:
        return None
    corners = np.array([box.corners for box in answer.boxes], np.float32).reshape(-1, 4)
    return match_boxes(drawn, corners, [box.score for box in answer.boxes])


def _breast_row(breast: LabelledBreast, prediction: Any, cases: list[Case]) -> Case:
    first = cases[0]

    def said(name: str) -> str | None:
        return next((value for case in cases if (value := getattr(case, name)) is not None), None)

    return Case(
        image_id=breast.key,
        group=first.group,
        patient=first.patient,
        dataset=first.dataset,
        label=first.label,
        probabilities=first.probabilities,
        predicted=first.predicted,
        age=first.age,
        density=said("density"),
        view="+".join(sorted({case.view for case in cases if case.view})) or None,
        machine=said("machine"),
        type=said("type"),
        invasive=breast.invasive,
        invasive_probability=prediction.invasive_probability,
        breast=breast.key,
    )
