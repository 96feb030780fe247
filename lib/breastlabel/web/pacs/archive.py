"""The instances of a PACS: those that were fetched lie in the studies folder, new ones are stored in both."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmread

from breastlabel.catalog.dicom_instance import Origin
from breastlabel.catalog.folder import take_in
from breastlabel.errors import NotFoundError
from breastlabel.training.registry import site_folder
from breastlabel.web.dicomweb.archive import Archive, StoredInstance
from breastlabel.web.dicomweb.received import checked_header
from breastlabel.web.pacs.client import PacsClient, Place
from breastlabel.web.pacs.errors import PacsError
from breastlabel.web.pacs.intake import Intake
from breastlabel.web.pacs.known import Known
from breastlabel.web.pacs.settings import PacsSettings

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog import Catalog

__all__ = ["PacsArchive"]


class PacsArchive(Archive):
    """What `Archive` is for a folder, for a PACS and the folder that mirrors it.

    Attributes:
        intake: takes in what is found in the PACS.
    """

    def __init__(self, catalog: Catalog, client: PacsClient, known: Known, settings: PacsSettings) -> None:
        super().__init__(catalog)
        self._client, self._known = client, known
        self.intake = Intake(self, known, settings)

    def file(self, sop_instance_uid: str) -> Path:
        """The DICOM file of an instance that the folder has.

        Raises:
            NotFoundError: it has not; `dataset` asks the PACS.
        """
        return super().file(sop_instance_uid)

    def dataset(self, sop_instance_uid: str, *, pixels: bool = True) -> Dataset:
        """An instance, out of the folder or else out of the PACS.

        Raises:
            NotFoundError: neither has it, as far as is known.
            PacsError: the PACS does not give it.
        """
        try:
            return super().dataset(sop_instance_uid, pixels=pixels)
        except NotFoundError:
            place = self._known.place(sop_instance_uid)
            if place is None:
                raise
        with self._fetched(place) as file:
            checked_header(file)
            return dcmread(file, stop_before_pixels=not pixels)

    def store_file(self, file: Path, *, origin: Origin, study: str | None = None) -> StoredInstance:
        """Have the PACS keep an instance, then keep it here, then call all hooks.

        One of our own (origin "ours") is kept here also while the PACS does not take it, and offered again.

        Raises:
            RefusedError: it is not what can be stored.
            PacsError: the PACS does not take it; nothing was changed.
            OSError: it cannot be written here; the PACS has it.
        """
        header = checked_header(file, study=study)
        owed: PacsError | None = None
        with self.intake.claim(str(header.SOPInstanceUID)):
            try:
                self._client.store(file)
            except PacsError as error:
                if origin != "ours":
                    raise
                owed = error
            stored = self.keep(file, origin=origin)
            if owed is None:
                self.intake.note(stored.instance)
            else:
                self.intake.owe(stored.instance, str(owed))
            self.intake.tell(stored.instance)
        return stored

    def upload(self, sop_instance_uid: str) -> None:
        """Have the PACS keep an instance that lies here.

        Raises:
            NotFoundError: it does not.
            PacsError: the PACS does not take it.
        """
        self._client.store(self.file(sop_instance_uid))

    def set_aside(self, sop_instance_uid: str) -> None:
        """Let an instance that came from the PACS leave the folder; its labels and its file are kept.

        Its image is one whose file is gone, until the instance is kept again.
        """
        instance = self.catalog.dicom.instance(sop_instance_uid)
        if instance is None or instance.file is None or instance.origin not in ("pacs", "stow"):
            return
        removed = site_folder(self._studies) / "removed"
        removed.mkdir(parents=True, exist_ok=True)
        file = self._studies / instance.file
        with contextlib.suppress(FileNotFoundError):
            os.replace(file, removed / f"{time.time_ns()}-{file.name}")
        if instance.image_id is None:
            self.catalog.dicom.remove([sop_instance_uid])
        else:
            take_in(self.catalog, [instance.file])

    def keep(self, file: Path, *, origin: Origin) -> StoredInstance:
        """Keep an instance in the folder alone, without a word to anybody; the file is left as it is."""
        return self._storing.store(file, origin=origin, study=None, known_file=self.file_of)

    @contextmanager
    def _fetched(self, place: Place) -> Iterator[Path]:
        data = self._client.retrieve(place)
        with tempfile.TemporaryDirectory(dir=self.incoming(), prefix="fetch-") as folder:
            file = Path(folder) / "instance.dcm"
            file.write_bytes(data)
            yield file
