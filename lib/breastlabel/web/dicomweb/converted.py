"""DICOM files for images that have none, or not quite: converted once, and kept in a bounded cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.dicom_header import image_identity
from breastlabel.imaging import read_image
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.dicom_writing import dicom_bytes, written_image

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog import Catalog
    from breastlabel.catalog.dicom_instance import DicomInstance

__all__ = ["CACHE_BYTES", "ConvertedFiles"]

#: Some hundred mammograms, or ten thousand ultrasound images.
CACHE_BYTES = 4 * 2**30
#: Another number whenever the same image would be written in another way.
_VERSION = 1


class ConvertedFiles:
    """The files. They can be deleted at any time, also while a server runs.

    Args:
        folder: where they lie.
        limit: bytes that they take at most; those asked for longest ago go first.
    """

    def __init__(self, catalog: Catalog, folder: Path, *, limit: int = CACHE_BYTES) -> None:
        self._catalog = catalog
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._total: int | None = None

    def converted(self, instance: DicomInstance) -> Path:
        """The file of an image that is no DICOM.

        Raises:
            InvalidImageError: it cannot be read as one breast image.
        """
        assert instance.image_id is not None
        record = self._catalog.image(instance.image_id)

        def make() -> Dataset:
            image = read_image(self._catalog.path(record), modality=record.modality)
            spacing = record.spacing or image.spacing
            identity = image_identity(record, salt=self._catalog.salt(), spacing=spacing)
            return written_image(image.pixels, identity)

        return self._kept(instance, repr(record), make)

    def with_its_uids(self, instance: DicomInstance, file: Path) -> Path:
        """A DICOM file that lacks UIDs, or has those of another image, with those of its instance."""

        def make() -> Dataset:
            dataset = read_dataset(file, pixels=True, lift=False)
            set_uids(dataset, instance)
            return dataset

        return self._kept(instance, "", make)

    def _kept(self, instance: DicomInstance, facts: str, make: Callable[[], Dataset]) -> Path:
        told = (
            f"{_VERSION} {instance.sop_instance_uid} {instance.study_instance_uid} {instance.stamp} {facts}"
        )
        path = self._folder / f"{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:40]}.dcm"
        if not path.is_file():
            # One at a time: a film takes half a gigabyte meanwhile.
            with self._lock:
                if not path.is_file():
                    data = dicom_bytes(make())
                    self._make_room(len(data))
                    write_bytes_atomically(path, data)
        with contextlib.suppress(OSError):
            os.utime(path)
        return path

    def _make_room(self, wanted: int) -> None:
        if self._total is not None and self._total + wanted <= self._limit:
            self._total += wanted
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        files = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(OSError):
                status = entry.stat()
                files.append((status.st_mtime_ns, status.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total + wanted <= self._limit:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
        self._total = total + wanted


def set_uids(dataset: Dataset, instance: DicomInstance) -> None:
    """Let a dataset say what its instance in the index says."""
    dataset.SOPClassUID = instance.sop_class_uid
    dataset.SOPInstanceUID = instance.sop_instance_uid
    dataset.SeriesInstanceUID = instance.series_instance_uid
    dataset.StudyInstanceUID = instance.study_instance_uid
    dataset.file_meta.MediaStorageSOPClassUID = instance.sop_class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = instance.sop_instance_uid
