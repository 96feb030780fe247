"""What a model says of one or several images as a DICOM Structured Report: TID 1500, Comprehensive SR.

A breast whose images were judged together has one group of measurements (TID 1501) with class, probability of
malignancy and uncertainty; each lesion has a group of its own (TID 1410) with its place, its size in mm where
that is known, and its change. The report is PRELIMINARY and UNVERIFIED: no reader stands behind it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from breastlabel.findings.dicom_codes import COMMENT, OWN_SCHEME, PROCEDURES
from breastlabel.findings.dicom_identity import EQUIPMENT, MANUFACTURER, Algorithm, our_uid, require_highdicom
from breastlabel.findings.dicom_source import (
    check_source,
    copy_patient_and_study,
    plain_dataset,
    reference,
    stamp,
    stand_in,
)
from breastlabel.findings.dicom_sr_groups import breast_group, lesion_group
from breastlabel.findings.dicom_sr_image import ReportedImage
from breastlabel.findings.result import NOTICE
from breastlabel.imaging.vocabulary import Modality

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport, ObservationContext
    from pydicom import Dataset

__all__ = ["ReportedImage", "report_dataset"]

_SERIES_NUMBER = 9002


def report_dataset(
    images: Sequence[ReportedImage],
    *,
    algorithm: Algorithm,
    series_description: str = "AI report",
    others: Sequence[Dataset] = (),
    created: datetime | None = None,
) -> Dataset:
    """A report on images of one study, with its file meta information.

    Images of one side whose results name a ``breast`` are one group; every other image is one by itself. UIDs
    follow from the images, the algorithm and the content, as those of `segmentation_dataset` do.

    Args:
        images: at least one.
        series_description: as viewers show it, at most 64 characters.
        others: further images that were looked at, such as older ones, which are named as evidence.
        created: the content's date and time; None: the present ones.

    Raises:
        InvalidImageError: a source lacks a UID.
        MissingDependencyError: highdicom is not installed.
        ValueError: there is no image, or they are of several studies.
    """
    require_highdicom()
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import ComprehensiveSR

    for source in (*(image.source for image in images), *others):
        check_source(source)
    studies = {str(image.source.StudyInstanceUID) for image in images}
    if len(studies) != 1:
        raise ValueError(f"images of one study are required; got {len(images)} of {len(studies)} studies")
    about = (algorithm.name, algorithm.version, *(str(image.source.SOPInstanceUID) for image in images))
    uid = our_uid("SR", *about, series_description, *(_content(image) for image in images))
    # The first stands for patient and study alone; nothing refers to it.
    patient = stand_in(images[0].source)
    patient.SOPInstanceUID = uid
    referred = [i.source for i in images] + [i.segmentation for i in images if i.segmentation is not None]
    report = ComprehensiveSR(
        evidence=[patient, *referred],
        content=_content_tree(images, algorithm)[0],
        series_instance_uid=our_uid("SR series", *about),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        **EQUIPMENT,
        is_complete=True,
        is_final=False,
        record_evidence=False,
        series_description=series_description[:64],
        content_qualification="RESEARCH",
        coding_schemes=[
            CodingSchemeIdentificationItem(
                OWN_SCHEME, name="breastlabel", responsible_organization="breastlabel"
            )
        ],
    )
    copy_patient_and_study(images[0].source, report)
    stamp(report, images[0].source, created)
    if others:
        _add_evidence(report, others)
    return plain_dataset(report)


def _content(image: ReportedImage) -> bytes:
    segmentation = None if image.segmentation is None else str(image.segmentation.SOPInstanceUID)
    outline = b"" if image.mask is None else image.mask.tobytes()
    return json.dumps([image.result, segmentation, image.frame], sort_keys=True).encode() + outline


def _content_tree(images: Sequence[ReportedImage], algorithm: Algorithm) -> MeasurementReport:
    from highdicom.sr import MeasurementReport, TextContentItem

    groups = [breast_group(together, algorithm) for together in _judged_together(images)]
    lesions = [
        lesion_group(image, index, algorithm)
        for image in images
        for index in range(len(image.result["findings"]))
    ]
    modality = Modality.US if images[0].source.get("Modality") == "US" else Modality.MG
    tree = MeasurementReport(
        observation_context=_observer(algorithm),
        procedure_reported=PROCEDURES[modality].code(),
        imaging_measurements=[*groups, *lesions],
    )
    tree[0].ContentSequence.append(
        TextContentItem(name=COMMENT.code(), value=NOTICE, relationship_type="CONTAINS")
    )
    return tree


def _judged_together(images: Sequence[ReportedImage]) -> list[list[ReportedImage]]:
    together: dict[object, list[ReportedImage]] = {}
    for index, image in enumerate(images):
        key = image.side if image.result.get("breast") and image.side is not None else index
        together.setdefault(key, []).append(image)
    return list(together.values())


def _observer(algorithm: Algorithm) -> ObservationContext:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=our_uid("device", algorithm.name, algorithm.version),
        name=f"{MANUFACTURER} {algorithm.name} {algorithm.version}",
        manufacturer_name=MANUFACTURER,
        model_name=algorithm.name,
    )
    context = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return ObservationContext(observer_device_context=context)


def _add_evidence(report: Dataset, others: Sequence[Dataset]) -> None:
    """Pertinent Other Evidence: a study an item, a series an item in it (PS3.3 C.17.2)."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as DicomSequence

    studies: dict[str, dict[str, list[Dataset]]] = {}
    for other in others:
        series = studies.setdefault(str(other.StudyInstanceUID), {})
        series.setdefault(str(other.SeriesInstanceUID), []).append(reference(other))
    items = []
    for study_uid, by_series in studies.items():
        item = Dataset()
        item.StudyInstanceUID = study_uid
        item.ReferencedSeriesSequence = DicomSequence()
        for series_uid, references in by_series.items():
            of_series = Dataset()
            of_series.SeriesInstanceUID = series_uid
            of_series.ReferencedSOPSequence = DicomSequence(references)
            item.ReferencedSeriesSequence.append(of_series)
        items.append(item)
    report.PertinentOtherEvidenceSequence = DicomSequence(items)
