"""The answer for a breast as JSON: one result an image, each of which says what was looked at with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from breastlabel.findings.change import Change, Comparison
from breastlabel.findings.finding import Finding
from breastlabel.findings.matching import BreastFrame, breast_frame, changes
from breastlabel.findings.result import RESEARCH_USE, findings_of, result_json, rounded_scores
from breastlabel.imaging.exams import BreastSequence
from breastlabel.imaging.image import BreastImage

if TYPE_CHECKING:
    from breastlabel.inference.sequence_prediction import SequencePrediction

__all__ = ["BreastResults", "months_between"]

_DAYS_A_MONTH = 30.4375


def months_between(earlier: date | None, later: date | None) -> int | None:
    """Whole months, rounded; None where a date is unknown."""
    if earlier is None or later is None:
        return None
    return round((later - earlier).days / _DAYS_A_MONTH)


class BreastResults:
    """``result.json`` of each image of a breast.

    Args:
        prediction: of the breast.
        images: what was looked at, in the order of ``sequence.views``.
        sequence: where the images belong, what was left out, and what could not be known.
        ids: of the images that were asked about; the others were found beside them.

    Raises:
        ValueError: the three do not have the same images.
    """

    def __init__(
        self,
        prediction: SequencePrediction,
        images: Sequence[BreastImage],
        sequence: BreastSequence,
        *,
        ids: Sequence[str],
    ) -> None:
        views = sequence.views
        if not len(views) == len(images) == len(prediction.images):
            raise ValueError(
                f"one image and one answer for each of the sequence's {len(views)} views are required; got "
                f"{len(images)} images and {len(prediction.images)} answers"
            )
        self._prediction = prediction
        self._images = images
        self._sequence = sequence
        self._views = views
        self._asked = frozenset(ids)
        self._frames: dict[int, BreastFrame] = {}

    def result(self, index: int) -> dict[str, object]:
        """Everything but the mask's pixels for one image, as `result_json`, and of the breast:

        ``breast``: its ``laterality``, calibrated probabilities, ``predicted_class``, ``uncertainty``,
        ``above_operating_point``, and, of a model that tells, ``invasive_probability``: that the cancer is
        invasive and not in situ, if there is one; ``sequence``: the images that were looked at, oldest first,
        each with ``image_id``, ``laterality``, ``view_position``, ``role`` ("asked", "view" or "prior") and
        ``months_before`` the newest exam, never a date; ``left_out``: images of the patient that were not,
        and why; ``notes``: what could not be known. A finding of the newest exam has a ``change`` against
        the newest older image of its view.
        """
        breast = self._prediction
        plain = result_json(breast.images[index], self._images[index], findings=self.findings(index))
        del plain["sequence"], plain["notice"]
        alone = ["analysed as a sequence of one image"] if len(self._views) == 1 else []
        return {
            **plain,
            "breast": {
                "laterality": None if self._sequence.laterality is None else self._sequence.laterality.value,
                "predicted_class": breast.predicted.label,
                "class_probabilities": rounded_scores(breast.class_probabilities),
                "malignancy_probability": round(float(breast.malignancy_probability), 6),
                "uncertainty": rounded_scores(breast.uncertainty),
                "above_operating_point": breast.above_operating_point,
                **_invasive(breast.invasive_probability),
            },
            "sequence": [self._shown(i) for i in range(len(self._views))],
            "left_out": [
                {"image_id": left.image_id, "reason": left.reason} for left in self._sequence.left_out
            ],
            "notes": [*alone, *self._sequence.notes],
            "notice": RESEARCH_USE,
        }

    def findings(self, index: int) -> list[Finding]:
        """Of one image, largest first, with their changes."""
        found = self._plain_findings[index]
        if not self._prediction.newest[index]:
            return found
        return [
            replace(finding, change=change)
            for finding, change in zip(found, self._changes(index, found), strict=True)
        ]

    @cached_property
    def _plain_findings(self) -> list[list[Finding]]:
        pairs = zip(self._prediction.images, self._images, strict=True)
        return [findings_of(prediction, image) for prediction, image in pairs]

    def _changes(self, index: int, found: Sequence[Finding]) -> list[Change]:
        prior = self._prior_of(index)
        if prior is None:
            reason = (
                "the image names no view"
                if self._views[index].view_position is None
                else "no older image of this view"
            )
            return [Change(comparison=Comparison.NOT_COMPARABLE, reason=reason)] * len(found)
        return changes(
            found,
            self._plain_findings[prior],
            frame=self._frame(index),
            prior_frame=self._frame(prior),
            prior=prior,
            months=self._months_before(prior),
        )

    def _prior_of(self, index: int) -> int | None:
        """The newest older image of the same view."""
        view = self._views[index].view_position
        older = [
            i
            for i, other in enumerate(self._views)
            if view is not None and other.view_position is view and not self._prediction.newest[i]
        ]
        return older[-1] if older else None

    def _frame(self, index: int) -> BreastFrame:
        if index not in self._frames:
            self._frames[index] = breast_frame(self._images[index].pixels)
        return self._frames[index]

    def _months_before(self, index: int) -> int | None:
        view = self._views[index]
        exam = next(e for e in self._sequence.exams if view in e.views)
        return months_between(view.acquired or exam.acquired, self._sequence.newest.acquired)

    def _shown(self, index: int) -> dict[str, object]:
        view = self._views[index]
        if view.image_id in self._asked:
            role = "asked"
        else:
            role = "view" if self._prediction.newest[index] else "prior"
        return {
            "image_id": view.image_id,
            "laterality": None if view.laterality is None else view.laterality.value,
            "view_position": None if view.view_position is None else view.view_position.value,
            "role": role,
            "months_before": self._months_before(index),
        }


def _invasive(probability: float | None) -> dict[str, float]:
    return {} if probability is None else {"invasive_probability": round(float(probability), 6)}
