"""The DICOM header of an image of the catalog: its file's own, or the one that a conversion would write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.dicom_instance import DicomInstance, derived_uid, instance_of
from breastlabel.catalog.models import ImageRecord
from breastlabel.catalog.patients import acquired_on, exam_key
from breastlabel.errors import InvalidImageError
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.imaging.dicom_writing import ImageIdentity, written_header
from breastlabel.imaging.files import image_space, is_dicom, read_image
from breastlabel.imaging.raster import RASTER_SUFFIXES
from breastlabel.imaging.vocabulary import Density, Modality

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog.catalog import Catalog

__all__ = ["described_image", "image_identity", "read_header", "uids_of"]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def described_image(catalog: Catalog, record: ImageRecord, *, stamp: str | None) -> DicomInstance:
    """What the index keeps of an image.

    Args:
        stamp: of its file, taken before this is called.

    Raises:
        InvalidImageError: the file cannot be read.
    """
    path = catalog.path(record)
    if is_dicom(path):
        header = read_header(path)
        uids = uids_of(header, record, salt=catalog.salt())
        return instance_of(
            header, image_id=record.image_id, file=record.file, origin="file", stamp=stamp, uids=uids
        )
    shape, spacing = _shape_and_spacing(path, record)
    header = written_header(image_identity(record, salt=catalog.salt(), spacing=spacing), shape)
    return instance_of(header, image_id=record.image_id, file=None, origin="converted", stamp=stamp)


def read_header(path: Path) -> Dataset:
    """A DICOM file's elements but for its pixels, with what an enhanced object says of its frame.

    Raises:
        InvalidImageError: it cannot be read.
    """
    from breastlabel.imaging.dicom_header import read_dataset

    try:
        header = read_dataset(path, pixels=False)
    except InvalidImageError:
        raise
    except Exception as error:
        # pydicom raises almost anything over malformed bytes.
        raise InvalidImageError(
            "a readable DICOM header is required; the file's is not; send it again"
        ) from error
    return header


def uids_of(header: Dataset, record: ImageRecord, *, salt: str) -> dict[str, str]:
    """The UIDs by which an image is known: the header's own, and others for those that it lacks.

    Raises:
        InvalidImageError: it does not say what it is.
    """
    own = _own_uids(record, salt)
    said = {keyword: str(header.get(keyword) or "").strip(" \0") for keyword in ("SOPClassUID", *_UIDS)}
    meta = getattr(header, "file_meta", {})
    said["SOPClassUID"] = said["SOPClassUID"] or str(meta.get("MediaStorageSOPClassUID") or "")
    if not is_uid(said["SOPClassUID"]):
        raise InvalidImageError("a DICOM object with a SOP class is required; this one has none")
    return {keyword: uid if is_uid(uid) else own[keyword] for keyword, uid in said.items()}


def image_identity(record: ImageRecord, *, salt: str, spacing: tuple[float, float] | None) -> ImageIdentity:
    """What a conversion of an image says of it. The patient is known by key only.

    Args:
        salt: of the catalog.
        spacing: (rows, cols) in mm; None where nobody knows it.
    """
    uids, notes = _own_uids(record, salt), record.metadata
    age, density = notes.get("age"), notes.get("density")
    return ImageIdentity(
        sop_instance_uid=uids["SOPInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        patient_id=record.patient_key,
        modality=record.modality,
        laterality=record.laterality,
        view_position=record.view_position,
        spacing=spacing,
        acquired=acquired_on(record),
        age=float(age) if isinstance(age, int | float) else None,
        density=Density(density) if density in set(Density) else None,
        implant=notes.get("implant") if isinstance(notes.get("implant"), bool) else None,
        manufacturer=_said(notes.get("manufacturer")),
        machine=_said(notes.get("machine")),
    )


def _own_uids(record: ImageRecord, salt: str) -> dict[str, str]:
    exam = exam_key(record)
    study = f"image/{record.image_id}" if exam is None else f"exam/{exam}"
    names = {"study": study, "series": record.image_id, "instance": record.image_id}
    return {
        keyword: derived_uid(salt, kind, name)
        for keyword, (kind, name) in zip(_UIDS, names.items(), strict=True)
    }


def _shape_and_spacing(path: Path, record: ImageRecord) -> tuple[tuple[int, int], tuple[float, float] | None]:
    if path.name.lower().endswith(RASTER_SUFFIXES):
        return image_space(path)[0], record.spacing
    image = read_image(path, modality=Modality(record.modality))
    return image.shape, record.spacing or image.spacing


def _said(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
