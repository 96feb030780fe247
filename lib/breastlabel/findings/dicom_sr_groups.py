"""Measurement groups of a report: what was found in a breast (TID 1501), and each lesion (TID 1410).

What is given is the answer in its JSON form (`breastlabel.findings.result`), which is what is kept of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from breastlabel.findings import dicom_codes as coded
from breastlabel.findings.change import Comparison
from breastlabel.findings.dicom_codes import Concept
from breastlabel.findings.dicom_identity import Algorithm, our_uid
from breastlabel.findings.dicom_sr_image import ReportedImage, outlined_region, referenced_segment
from breastlabel.findings.finding import Orientation
from breastlabel.imaging.vocabulary import Laterality, LesionClass

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
    )

__all__ = ["breast_group", "lesion_group"]

_CLASSES = {c.label: c for c in LesionClass}


def breast_group(
    images: Sequence[ReportedImage], algorithm: Algorithm
) -> MeasurementsAndQualitativeEvaluations:
    """Class and probabilities of a breast, from all images of it that were judged as one."""
    from highdicom.sr import (
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )

    result = images[0].result
    judged: Mapping[str, Any] = result.get("breast") or result
    probabilities = judged.get("class_probabilities") or {}
    percentages = [(coded.PROBABILITY_OF_CANCER, judged.get("malignancy_probability"))]
    percentages += [(name, probabilities.get(c.label)) for c, name in coded.CLASS_PROBABILITIES.items()]
    percentages.append((coded.PROBABILITY_OF_INVASIVE, judged.get("invasive_probability")))
    evaluations = [_evaluation(coded.CLASS_TAKEN, coded.CLASSES[_CLASSES[judged["predicted_class"]]])]
    above = judged.get("above_operating_point")
    if above is not None:
        evaluations.append(_evaluation(coded.ABOVE_OPERATING_POINT, coded.YES_NO[bool(above)]))
    name = " + ".join(dict.fromkeys(image.name for image in images))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=_tracking("breast", algorithm, images), identifier=name),
        finding_sites=[_site(images[0].side)],
        algorithm_id=_algorithm(algorithm),
        measurements=[
            *(
                _measurement(name, 100.0 * float(p), coded.PERCENT)
                for name, p in percentages
                if p is not None
            ),
            *_uncertainties(judged.get("uncertainty")),
        ],
        qualitative_evaluations=evaluations,
        source_images=[
            SourceImageForMeasurementGroup(i.source.SOPClassUID, i.source.SOPInstanceUID, i.frames)
            for i in images
        ],
    )


def lesion_group(
    image: ReportedImage, index: int, algorithm: Algorithm
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """One finding of an image: where it is, its size in mm, its scores, and its change."""
    from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations, TrackingIdentifier

    finding: Mapping[str, Any] = image.result["findings"][index]
    taken = _CLASSES[finding["class"]]
    segment = referenced_segment(image, taken)
    evaluations = [_evaluation(coded.CLASS_TAKEN, coded.CLASSES[taken])]
    if finding.get("orientation"):
        kind = coded.ORIENTATIONS[Orientation(finding["orientation"])]
        evaluations.append(_evaluation(coded.ORIENTATION, kind))
    change = finding.get("change") or {}
    if change:
        evaluations.append(_evaluation(coded.COMPARISON, coded.COMPARISONS[Comparison(change["comparison"])]))
    tracking = TrackingIdentifier(
        uid=_tracking("lesion", algorithm, [image], str(index)), identifier=f"{image.name} lesion {index + 1}"
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_segment=segment,
        referenced_region=outlined_region(image, finding) if segment is None else None,
        finding_category=coded.ABNORMAL_STRUCTURE.code(),
        finding_type=coded.LESION.code(),
        finding_sites=[_site(image.side)],
        algorithm_id=_algorithm(algorithm),
        measurements=[*_sizes(finding), *_scores(finding, taken), *_changes(change)],
        qualitative_evaluations=evaluations,
    )


def _sizes(finding: Mapping[str, Any]) -> list[Measurement]:
    """In mm and mm2; none where the size of a pixel is not known."""
    if finding.get("length_unit") != "mm":
        return []
    return [
        _measurement(coded.AREA, finding["area"], coded.SQUARE_MILLIMETRE),
        _measurement(coded.LONG_AXIS, finding["long_axis"], coded.MILLIMETRE),
        _measurement(coded.SHORT_AXIS, finding["short_axis"], coded.MILLIMETRE),
    ]


def _scores(finding: Mapping[str, Any], taken: LesionClass) -> list[Measurement]:
    given = float(finding["probability"])
    malignant = given if taken is LesionClass.MALIGNANT else 1.0 - given
    return [
        _percent(coded.CERTAINTY_OF_FINDING, finding["lesion_probability"]),
        _percent(coded.GIVEN_LESION, malignant),
        *_uncertainties(finding.get("uncertainty")),
    ]


def _uncertainties(scores: Mapping[str, float] | None) -> list[Measurement]:
    known = [(name, (scores or {}).get(key)) for key, name in coded.UNCERTAINTIES.items()]
    return [_measurement(name, float(v), coded.NO_UNITS) for name, v in known if v is not None]


def _changes(change: Mapping[str, Any]) -> list[Measurement]:
    known = [(name, unit, change.get(key)) for key, (name, unit) in coded.CHANGES.items()]
    known.append((coded.MONTHS_SINCE, coded.MONTH, change.get("months")))
    return [_measurement(name, float(v), unit) for name, unit, v in known if v is not None]


def _measurement(name: Concept, value: float, unit: Concept) -> Measurement:
    from highdicom.sr import Measurement

    return Measurement(name=name.code(), value=round(float(value), 6), unit=unit.code())


def _percent(name: Concept, probability: float) -> Measurement:
    return _measurement(name, 100.0 * float(probability), coded.PERCENT)


def _evaluation(name: Concept, value: Concept) -> QualitativeEvaluation:
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name=name.code(), value=value.code())


def _site(side: Laterality | None) -> FindingSite:
    from highdicom.sr import FindingSite

    laterality = None if side is None else coded.SIDES[side].code()
    return FindingSite(anatomic_location=coded.BREAST.code(), laterality=laterality)


def _algorithm(algorithm: Algorithm) -> AlgorithmIdentification:
    from highdicom.sr import AlgorithmIdentification

    parameters = [f"{name}={value}" for name, value in algorithm.parameters]
    return AlgorithmIdentification(algorithm.name, algorithm.version, parameters or None)


def _tracking(kind: str, algorithm: Algorithm, images: Sequence[ReportedImage], *more: str) -> str:
    uids = [str(image.source.SOPInstanceUID) for image in images]
    return our_uid("tracking", kind, algorithm.name, algorithm.version, *uids, *more)
