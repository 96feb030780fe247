"""What a reading says as DICOM objects, for those who file it beside the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from breastlabel.errors import InvalidImageError
from breastlabel.findings.dicom_identity import Algorithm
from breastlabel.findings.dicom_seg import segmentation_dataset
from breastlabel.findings.dicom_sr import ReportedImage, report_dataset
from breastlabel.imaging import read_mask
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.imaging.files import is_dicom
from breastlabel.web.pages.reading_run import MASK_FILE, Asked
from breastlabel.web.pages.readings import Reading

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = ["reading_report_file", "reading_segmentation_file"]


def reading_segmentation_file(app: BreastLabelApp, reading: Reading) -> bytes:
    """The outlines of a reading that is done, as a DICOM SEG file; empty where nothing was outlined.

    Raises:
        InvalidImageError: the upload is no DICOM file, so that there is nothing to refer to.
    """
    return dicom_bytes(_segmentation(reading, _source(app, reading.asked)))


def reading_report_file(app: BreastLabelApp, reading: Reading) -> bytes:
    """The findings of a reading that is done, as a DICOM SR file (TID 1500) that refers to its outlines.

    Raises:
        InvalidImageError: as `reading_segmentation_file`.
    """
    source = _source(app, reading.asked)
    image = ReportedImage(
        _params(reading),
        source,
        mask=read_mask(reading.folder / MASK_FILE),
        segmentation=_segmentation(reading, source),
    )
    model = reading.asked.model
    report = report_dataset(
        [image], algorithm=_algorithm(reading), series_description=f"breastlabel {model}: report"
    )
    return dicom_bytes(report)


def _params(reading: Reading) -> Mapping[str, Any]:
    params: Mapping[str, Any] = (reading.result or {})["params"]
    return params


def _algorithm(reading: Reading) -> Algorithm:
    return Algorithm(name=reading.asked.model, version=_params(reading)["checkpoint_version"])


def _segmentation(reading: Reading, source: Dataset) -> Dataset:
    return segmentation_dataset(
        read_mask(reading.folder / MASK_FILE),
        source,
        algorithm=_algorithm(reading),
        series_description=f"breastlabel {reading.asked.model}: proposal",
        probability=_params(reading)["malignancy_probability"],
    )


def _source(app: BreastLabelApp, asked: Asked) -> Dataset:
    """The image as DICOM, without its pixels.

    Raises:
        InvalidImageError: it is an upload of another kind.
    """
    if asked.image_id is not None:
        instance = app.catalog.dicom.of_image(asked.image_id)
        if instance is not None:
            return app.archive.dataset(instance.sop_instance_uid, pixels=False)
    if asked.image_id is None and is_dicom(asked.file):
        return read_dataset(asked.file, pixels=False, lift=False)
    raise InvalidImageError(
        "a DICOM image is required to refer to; this upload is none; add it to the studies first"
    )
