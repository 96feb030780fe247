"""What a reading says as DICOM objects, for those who file it beside the image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidImageError
from breastlabel.findings.dicom_identity import Algorithm
from breastlabel.findings.dicom_seg import segmentation_dataset
from breastlabel.imaging import read_mask
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.files import is_dicom
from breastlabel.web.pages.reading_run import MASK_FILE, Asked
from breastlabel.web.pages.readings import Reading

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = ["reading_segmentation"]


def reading_segmentation(app: BreastLabelApp, reading: Reading) -> bytes:
    """The outlines of a reading that is done, as a DICOM SEG file; empty where nothing was outlined.

    Raises:
        InvalidImageError: the upload is no DICOM file, so that there is nothing to refer to.
    """
    asked: Asked = reading.asked
    result = reading.result or {}
    params = result["params"]
    segmentation = segmentation_dataset(
        read_mask(reading.folder / MASK_FILE),
        source_dataset(app, asked),
        algorithm=Algorithm(name=asked.model, version=params["checkpoint_version"]),
        series_description=f"breastlabel {asked.model}: proposal",
        probability=params["malignancy_probability"],
    )
    return _bytes(segmentation)


def source_dataset(app: BreastLabelApp, asked: Asked) -> Dataset:
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


def _bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()
