"""A label version as DICOM Segmentation: whose outline it is, and of which image.

An image that is no DICOM file is referred to by the UIDs under which viewers are shown it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel import __version__
from breastlabel.catalog.dicom_header import image_identity, read_header, uids_of
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.findings.dicom_identity import Algorithm
from breastlabel.findings.dicom_seg import segmentation_dataset
from breastlabel.imaging import LabelArray, read_image
from breastlabel.imaging.dicom_writing import written_header
from breastlabel.imaging.files import is_dicom

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog import Catalog, ImageRecord, LabelVersion

__all__ = ["SEGMENTATION_SUFFIX", "write_segmentation"]

SEGMENTATION_SUFFIX = ".dcm"


def write_segmentation(
    path: Path,
    mask: LabelArray,
    catalog: Catalog,
    record: ImageRecord,
    *,
    version: LabelVersion | None = None,
    consensus: str | None = None,
) -> None:
    """Write a label map of an image.

    A reader's outline is MANUAL, or SEMIAUTOMATIC where it started from a model's proposal; a proposal and a
    consensus are AUTOMATIC, by the model and by the method.

    Args:
        version: whose label map it is.
        consensus: the method, where several readers' maps were made into this one.

    Raises:
        InvalidImageError: the image's header cannot be read.
        InvalidLabelError: the map has not the image's size.
        MissingDependencyError: highdicom is not installed.
    """
    algorithm, corrected, what = None, False, "reading"
    if consensus is not None:
        algorithm, what = Algorithm(name=consensus, version=__version__), f"consensus ({consensus})"
    elif version is not None:
        algorithm, corrected = _algorithm(version), version.tag != ORIGINAL
        if algorithm is not None:
            what = f"correction of {algorithm.name}" if corrected else f"{algorithm.name}: proposal"
    segmentation = segmentation_dataset(
        mask,
        _header(catalog, record, (mask.shape[0], mask.shape[1])),
        algorithm=algorithm,
        corrected=corrected,
        series_description=f"breastlabel {what}",
        creator=None if version is None else version.author,
        created=None if version is None else version.created_at,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path, write_like_original=False)


def _algorithm(version: LabelVersion) -> Algorithm | None:
    """What outlined first; None for a reader who started from nothing."""
    if version.model is None or (version.tag != ORIGINAL and version.proposal_id is None):
        return None
    return Algorithm(name=version.model, version=version.model_version or "unknown")


def _header(catalog: Catalog, record: ImageRecord, shape: tuple[int, int]) -> Dataset:
    """What a viewer sees of the image, but for its pixels."""
    path = catalog.path(record)
    if is_dicom(path):
        header = read_header(path)
        for keyword, uid in uids_of(header, record, salt=catalog.salt()).items():
            setattr(header, keyword, uid)
        return header
    spacing = record.spacing or read_image(path, modality=record.modality).spacing
    return written_header(image_identity(record, salt=catalog.salt(), spacing=spacing), shape)
