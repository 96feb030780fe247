"""The images of the catalog that a segmentation refers to, and whether it may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.errors import BreastLabelError, InvalidImageError, InvalidLabelError
from breastlabel.findings.dicom_seg_header import SegmentationHeader
from breastlabel.findings.dicom_seg_parts import refused
from breastlabel.imaging.dicom_values import text

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = ["MAX_IMAGES", "Source", "UnknownSourceError", "find_sources"]

#: Of one segmentation: an exam has four views, and few have more than a dozen.
MAX_IMAGES = 64


class UnknownSourceError(InvalidLabelError):
    """A segmentation refers to an image that the catalog does not have, though it may come."""


@dataclass(frozen=True)
class Source:
    """An image that was drawn on.

    Attributes:
        image_id: in the catalog.
        file: the image's own.
        header: as viewers are given it, without pixels.
    """

    image_id: str
    file: Path
    header: Dataset


def find_sources(app: BreastLabelApp, dataset: Dataset, header: SegmentationHeader) -> dict[str, Source]:
    """SOP Instance UID -> image, for each image that a segmentation refers to.

    Raises:
        InvalidLabelError: it refers to none, or too many; or it is of another study or patient than one of
            them.
        UnknownSourceError: one is not of the catalog.
        NotFoundError, InvalidImageError: the file of one of them is gone, or cannot be read.
    """
    if not 1 <= len(header.sources) <= MAX_IMAGES:
        raise refused(
            f"1 to {MAX_IMAGES} images to which the segmentation refers", f"it has {len(header.sources)}"
        )
    found = {}
    for uid in header.sources:
        instance = app.catalog.dicom.instance(uid)
        if instance is None or instance.image_id is None:
            raise UnknownSourceError(
                "images of this catalog are required; the segmentation refers to another; "
                "send the image first, then the SEG"
            )
        if instance.study_instance_uid != header.study_instance_uid:
            raise refused("a segmentation of its image's study", "it is of another study")
        source = _header_of(app, uid)
        ours, theirs = text(source, "PatientID"), text(dataset, "PatientID")
        if ours and theirs and ours != theirs:
            raise refused("a segmentation of its image's patient", "it is of another patient")
        found[uid] = Source(instance.image_id, app.datastore().path(instance.image_id), source)
    return found


def _header_of(app: BreastLabelApp, uid: str) -> Dataset:
    try:
        return app.archive.dataset(uid, pixels=False)
    except (BreastLabelError, OSError):
        raise
    except Exception as error:
        # pydicom raises almost anything over malformed bytes.
        raise InvalidImageError(
            "an image that can be read is required; its file is damaged; restore it"
        ) from error
