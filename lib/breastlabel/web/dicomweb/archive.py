"""The folder as an archive of DICOM instances: each can be had as a dataset or a file, new ones be stored."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.dicom_instance import DicomInstance, Origin, derived_uid
from breastlabel.catalog.patients import exam_key
from breastlabel.errors import NotFoundError, StudiesError
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.training.registry import site_folder
from breastlabel.web.dicomweb.converted import CACHE_BYTES, ConvertedFiles
from breastlabel.web.dicomweb.received import RefusedError
from breastlabel.web.dicomweb.storing import StoredInstance, Storing

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog import Catalog

__all__ = ["Archive", "StoredInstance"]

logger = logging.getLogger(__name__)

#: Larger values (pixels above all) are read from the disk when they are asked for.
_DEFER_BYTES = 8 * 2**20
#: Not the name of any image, whose own cache lies beside it.
_CACHE = Path("cache") / ".dicom"


class Archive:
    """The DICOM instances of a studies folder. Threads share one.

    Attributes:
        catalog: whose folder it is.
        on_received: called with each new dataset that is sent to a folder, before it is kept. A hook that
            raises `RefusedError` refuses it, and nothing of it stays; what else it raises goes to the log.
        on_stored: called with each dataset that was stored, in turn, before the store is acknowledged. One
            that was known already comes again, for the program may have been killed the first time. What a
            hook raises goes to the log and nowhere else.
    """

    def __init__(self, catalog: Catalog, *, cache_bytes: int = CACHE_BYTES) -> None:
        if catalog.studies is None:
            raise StudiesError("a studies folder is required for an archive; got none; give `studies`")
        self.catalog = catalog
        self.on_received: list[Callable[[Dataset], None]] = []
        self.on_stored: list[Callable[[Dataset], None]] = []
        self._studies: Path = catalog.studies
        self._converted = ConvertedFiles(catalog, site_folder(self._studies) / _CACHE, limit=cache_bytes)
        self._storing = Storing(catalog)

    def dataset(self, sop_instance_uid: str, *, pixels: bool = True) -> Dataset:
        """An instance, whole or without its pixels, with its file meta information.

        Raises:
            NotFoundError: there is none, or its file is gone.
            InvalidImageError: it is an image that has to be converted, and cannot.
        """
        return read_dataset(self.file(sop_instance_uid), pixels=pixels, lift=False, defer=_DEFER_BYTES)

    def file(self, sop_instance_uid: str) -> Path:
        """The DICOM file of an instance; as `dataset`."""
        return self.file_of(self.instance(sop_instance_uid))

    def instance(self, sop_instance_uid: str) -> DicomInstance:
        """What the index knows of an instance.

        Raises:
            NotFoundError: there is none.
        """
        found = self.catalog.dicom.instance(sop_instance_uid)
        if found is None:
            raise NotFoundError(
                "an instance of the archive is required; there is none of this UID; search it"
            )
        return found

    def file_of(self, instance: DicomInstance) -> Path:
        """`file` of an instance that was found already."""
        instance = self._current(instance)
        if instance.file is None:
            return self._converted.converted(instance)
        file = self._studies / instance.file
        if not file.is_file():
            raise NotFoundError("the file of this instance is gone; put it back into the studies folder")
        return self._converted.with_its_uids(instance, file) if self._is_amended(instance) else file

    def store(self, dataset: Dataset, *, origin: Origin) -> StoredInstance:
        """Keep an instance. It is on the disk when this returns, and all hooks were called.

        Images become images of the folder; segmentations, reports and the like are kept beside them. The same
        instance may be stored again. One of our own (origin "ours") takes the place of an earlier one.

        Raises:
            RefusedError: it is not what can be stored, or another instance has its UID.
            OSError: it cannot be written; nothing was changed.
        """
        with tempfile.TemporaryDirectory(dir=self._storing.incoming(), prefix="store-") as folder:
            file = Path(folder) / "instance.dcm"
            file.write_bytes(dicom_bytes(dataset))
            return self.store_file(file, origin=origin)

    def store_file(self, file: Path, *, origin: Origin, study: str | None = None) -> StoredInstance:
        """`store` for a DICOM file, whose bytes are kept as they are; the caller removes it.

        Args:
            file: in `incoming`, so that it need not be copied.
            study: the UID of the study to which it must belong; None for any.
        """
        stored = self._storing.store(
            file,
            origin=origin,
            study=study,
            known_file=self.file_of,
            check=lambda header: _call(self.on_received if origin != "ours" else (), header),
        )
        if self.on_stored:
            _call(self.on_stored, self.dataset(stored.instance.sop_instance_uid))
        return stored

    def incoming(self) -> Path:
        """The folder for files that are being received, on the disk to which they will go."""
        return self._storing.incoming()

    def _current(self, instance: DicomInstance) -> DicomInstance:
        """The instance as its file now is: one that was replaced is looked at again."""
        if instance.image_id is None:
            return instance
        index = self.catalog.dicom
        if not index.look_again([instance.image_id]):
            return instance
        now = index.of_image(instance.image_id)
        if now is None or now.sop_instance_uid != instance.sop_instance_uid:
            raise NotFoundError("the file of this instance holds another one now; search again")
        return now

    def _is_amended(self, instance: DicomInstance) -> bool:
        """Whether a DICOM file's image has UIDs that its file has not; they are known by their values."""
        if instance.image_id is None:
            return False
        salt, image_id = self.catalog.salt(), instance.image_id
        own = {derived_uid(salt, "instance", image_id), derived_uid(salt, "series", image_id)}
        if instance.sop_instance_uid in own or instance.series_instance_uid in own:
            return True
        if not instance.study_instance_uid.startswith("2.25."):
            return False
        exam = exam_key(self.catalog.image(image_id))
        name = f"image/{image_id}" if exam is None else f"exam/{exam}"
        return instance.study_instance_uid == derived_uid(salt, "study", name)


def _call(hooks: Iterable[Callable[[Dataset], None]], dataset: Dataset) -> None:
    """Raises RefusedError as a hook does, and nothing else."""
    for hook in list(hooks):
        try:
            hook(dataset)
        except RefusedError:
            raise
        except Exception as error:
            # Not the message: it may carry an identifier.
            logger.error("What follows from an instance that came failed: %s", type(error).__name__)
