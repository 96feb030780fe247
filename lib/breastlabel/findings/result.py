"""The answer for one image as JSON: ``result.json``, and ``params`` of the server's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from breastlabel.findings.extract import find_findings
from breastlabel.findings.finding import Finding
from breastlabel.imaging.image import BreastImage
from breastlabel.imaging.vocabulary import LesionClass

if TYPE_CHECKING:
    from breastlabel.inference.prediction import Prediction

__all__ = ["LABEL_NAMES", "NOTICE", "RESEARCH_USE", "findings_of", "result_json", "rounded_scores"]

LABEL_NAMES = {c.label: int(c) for c in (LesionClass.BENIGN, LesionClass.MALIGNANT)}
"""Names of the values in a mask, contiguous from 1, as 3D Slicer's module requires."""

RESEARCH_USE = "For research use only. Not a medical device; not for diagnosis."
"""In every answer and every segmentation; short enough for a DICOM attribute (LO, 64 characters)."""

NOTICE = "Research use only. Not a medical device. A prompt for a second look, not a verdict."
"""On every page and in every structured report."""


def result_json(
    prediction: Prediction, image: BreastImage, *, findings: Sequence[Finding] | None = None
) -> dict[str, object]:
    """Everything but the mask's pixels, as plain JSON values and without patient identifiers.

    ``findings`` as in `Finding.to_json`, largest first; ``predicted_class`` agrees with the mask;
    ``class_probabilities`` are calibrated; ``uncertainty`` is null where no stochastic passes were made.

    ``boxes``, of a model that draws them: each ``box`` (row0, col0, row1, col1) in the image's pixels with
    ``class`` and ``score``, the likeliest first; they are no findings.

    Args:
        findings: of the image, where they are known already.
    """
    if findings is None:
        findings = findings_of(prediction, image)
    return {
        "findings": [finding.to_json() for finding in findings],
        "predicted_class": prediction.predicted.label,
        "class_probabilities": rounded_scores(prediction.class_probabilities),
        "malignancy_probability": round(float(prediction.malignancy_probability), 6),
        "uncertainty": rounded_scores(prediction.uncertainty),
        "checkpoint_version": prediction.checkpoint_version,
        "label_names": dict(LABEL_NAMES),
        "image": {
            "shape": list(image.shape),
            "spacing_mm": None if image.spacing is None else [float(v) for v in image.spacing],
            "modality": image.modality.value,
            "laterality": None if image.laterality is None else image.laterality.value,
            "view_position": None if image.view_position is None else image.view_position.value,
        },
        "sequence": _sequence_note(image),
        "notice": RESEARCH_USE,
        **_boxes(prediction),
    }


def _boxes(prediction: Prediction) -> dict[str, object]:
    if prediction.boxes is None:
        return {}
    return {
        "boxes": [
            {
                "box": [round(edge, 1) for edge in box.corners],
                "class": box.lesion_class.label,
                "score": round(box.score, 6),
            }
            for box in prediction.boxes
        ]
    }


def findings_of(prediction: Prediction, image: BreastImage) -> list[Finding]:
    """The findings in one image's answer, largest first."""
    return find_findings(
        prediction.mask,
        prediction.lesion_probability,
        prediction.class_probabilities,
        spacing=image.spacing,
        modality=image.modality,
        uncertainty=prediction.uncertainty,
        lesion_deviation=prediction.lesion_deviation,
    )


def rounded_scores(scores: Mapping[str, float] | None) -> dict[str, float] | None:
    """Scores rounded to a millionth; None stays None."""
    return None if scores is None else {key: round(float(value), 6) for key, value in scores.items()}


def _sequence_note(image: BreastImage) -> str:
    missing = [
        name for name, value in (("side", image.laterality), ("view", image.view_position)) if value is None
    ]
    if not missing:
        return "analysed as a sequence of one image"
    return f"analysed as a sequence of one image; it names no {' and no '.join(missing)}"
