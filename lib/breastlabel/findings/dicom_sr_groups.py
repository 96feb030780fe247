"""Measurement groups of a report: what was found in a breast (TID 1501), and each lesion (TID 1410).

What is given is the answer in its JSON form (`breastlabel.findings.result`), which is what is kept of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.findings import dicom_codes as coded
from breastlabel.findings.change import Comparison
from breastlabel.findings.dicom_codes import Concept
from breastlabel.findings.dicom_identity import Algorithm, our_uid
from breastlabel.findings.dicom_source import laterality_of
from breastlabel.findings.finding import Orientation
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import Laterality, LesionClass

if TYPE_CHECKING:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        ImageRegion,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        ReferencedSegmentationFrame,
    )
    from pydicom import Dataset

__all__ = ["ReportedImage", "breast_group", "lesion_group"]

_MOST_POINTS = 2000
_CLASSES = {c.label: c for c in LesionClass}


@dataclass(frozen=True)
class ReportedImage:
    """One image of a report.

    Attributes:
        result: the answer as `result_json` or `BreastResults.result` gives it.
        source: the image.
        mask: (rows, cols) label map of the answer; a lesion is outlined where it is given, else boxed.
        segmentation: the answer as DICOM Segmentation, whose segments are then referred to.
        frame: of a cine loop, counted from 1.
    """

    result: Mapping[str, Any]
    source: Dataset
    mask: LabelArray | None = None
    segmentation: Dataset | None = None
    frame: int | None = None

    @property
    def frames(self) -> list[int] | None:
        """As references name them."""
        return None if self.frame is None else [self.frame]

    @cached_property
    def name(self) -> str:
        """Side and view, as far as they are known."""
        image = self.result.get("image") or {}
        known = [self.side.value if self.side else None, image.get("view_position")]
        return " ".join(str(word) for word in known if word) or str(image.get("modality") or "image")

    @cached_property
    def side(self) -> Laterality | None:
        """Of the breast, as the answer has it, else as the header does."""
        stated = (self.result.get("image") or {}).get("laterality")
        return Laterality(stated) if stated in set(Laterality) else laterality_of(self.source)


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
    segment = _segment(image, taken)
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
        referenced_region=_region(image, finding) if segment is None else None,
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


def _segment(image: ReportedImage, taken: LesionClass) -> ReferencedSegmentationFrame | None:
    """The segment that is this lesion; None where there is none, or several lesions share their class's."""
    from highdicom.sr import ReferencedSegmentationFrame, SourceImageForSegmentation

    alike = [f for f in image.result["findings"] if f["class"] == taken.label]
    if image.segmentation is None or len(alike) != 1:
        return None
    frames = image.segmentation.PerFrameFunctionalGroupsSequence
    for number, item in enumerate(frames, start=1):
        if int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == int(taken):
            segment = ReferencedSegmentationFrame(
                sop_class_uid=image.segmentation.SOPClassUID,
                sop_instance_uid=image.segmentation.SOPInstanceUID,
                frame_number=number,
                segment_number=int(taken),
                source_image=SourceImageForSegmentation(
                    image.source.SOPClassUID, image.source.SOPInstanceUID, image.frames
                ),
            )
            # highdicom wants both numbers; the standard allows either (PS3.3 table 10-3), and TID 1410 the frame.
            del segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
            return segment
    return None


def _region(image: ReportedImage, finding: Mapping[str, Any]) -> ImageRegion:
    """The lesion's outline, else its box, as a closed polyline (PS3.3 C.18.6)."""
    from highdicom.sr import ImageRegion, SourceImageForRegion

    return ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=_outline(image.mask, finding),
        source_image=SourceImageForRegion(
            image.source.SOPClassUID, image.source.SOPInstanceUID, image.frames
        ),
    )


def _outline(mask: LabelArray | None, finding: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(n, 2) of (column, row), the first point again at the end; 0\\0 is the first pixel's outer corner."""
    top, left, bottom, right = (int(v) for v in finding["bounding_box"])
    box = np.array(
        [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64
    )
    if mask is None:
        return box
    from skimage.measure import find_contours, label

    painted = mask[top:bottom, left:right] == _CLASSES[finding["class"]]
    parts = label(painted, connectivity=2)
    # Another lesion may reach into the box; this one fills it from edge to edge.
    spans = [np.argwhere(parts == part) for part in range(1, int(parts.max()) + 1)]
    filling = [s for s in spans if not s.min(axis=0).any() and tuple(s.max(axis=0) + 1) == painted.shape]
    if not filling:
        return box
    alone = np.zeros((bottom - top + 2, right - left + 2))
    alone[tuple((filling[0] + 1).T)] = 1.0
    contour = max(find_contours(alone, 0.5, fully_connected="high"), key=len)
    step = -(-len(contour) // _MOST_POINTS)
    points = np.concatenate([contour[:-1:step], contour[:1]])
    return np.stack([points[:, 1] + left - 0.5, points[:, 0] + top - 0.5], axis=1)


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
