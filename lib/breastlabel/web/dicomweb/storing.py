"""Keeps DICOM instances that are sent: validated, written atomically, never under a name of the sender's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.dicom_instance import DicomInstance, Origin, instance_of
from breastlabel.catalog.folder import CATALOG_FILE, take_in
from breastlabel.errors import NotFoundError
from breastlabel.imaging.atomic import fsync_folder
from breastlabel.imaging.dicom_header import FILM_MODALITIES, stated_modality
from breastlabel.imaging.dicom_values import text
from breastlabel.imaging.mammogram_header import is_tomosynthesis
from breastlabel.web.dicomweb.received import (
    DUPLICATE,
    NOT_UNDERSTOOD,
    RefusedError,
    checked_header,
    is_same,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.catalog import Catalog

__all__ = ["StoredInstance", "Storing"]

_SITE = CATALOG_FILE.parent
#: Of instances that are no images; relative to the studies folder.
_OTHERS = _SITE / "dicom"
_INCOMING = _OTHERS / "incoming"
#: No request takes that long.
_LEFT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class StoredInstance:
    """What became of an instance that was sent.

    Attributes:
        instance: as the index knows it now.
        is_new: False where the archive had it already.
    """

    instance: DicomInstance
    is_new: bool


class Storing:
    """Writes instances into a studies folder. Threads and processes may store the same one at once."""

    def __init__(self, catalog: Catalog) -> None:
        assert catalog.studies is not None
        self._catalog = catalog
        self._studies: Path = catalog.studies
        self._remove_leftovers()

    def incoming(self) -> Path:
        """The folder for files that are being received."""
        folder = self._studies / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _remove_leftovers(self) -> None:
        """What a process left that was killed while it received something."""
        old = time.time() - _LEFT_SECONDS
        folder = self._studies / _INCOMING
        for entry in list(os.scandir(folder)) if folder.is_dir() else []:
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime < old:
                    shutil.rmtree(entry.path)

    def store(
        self,
        file: Path,
        *,
        origin: Origin,
        study: str | None,
        known_file: Callable[[DicomInstance], Path],
        check: Callable[[Dataset], None] = lambda header: None,
    ) -> StoredInstance:
        """Keep a file; see `Archive.store_file`.

        Args:
            known_file: the DICOM file of an instance that the archive has.
            check: called with what is new, before anything of it is kept; what it raises ends the storing.
        """
        header = checked_header(file, study=study)
        known = self._catalog.dicom.instance(str(header.SOPInstanceUID))
        ours = origin == "ours" and known is not None and known.origin == "ours"
        if known is not None and not ours:
            with contextlib.suppress(NotFoundError):
                if not is_same(file, known_file(known)):
                    raise RefusedError(
                        DUPLICATE,
                        "an instance with a UID of its own is required; another has this one already",
                    )
                return StoredInstance(known, is_new=False)
        check(header)
        is_image = _is_image(header)
        name = f"{self._opaque_name(str(header.SOPInstanceUID))}.dcm"
        relative = Path(name) if is_image else _OTHERS / name[:2] / name
        self._place(file, self._studies / relative, replace_it=ours)
        if is_image:
            instance = self._taken_in(name, origin)
        else:
            instance = instance_of(header, image_id=None, file=relative.as_posix(), origin=origin)
            self._catalog.dicom.add([instance])
        return StoredInstance(instance, is_new=known is None)

    def _taken_in(self, name: str, origin: Origin) -> DicomInstance:
        take_in(self._catalog, [name])
        found = self._catalog.dicom.of_image(name.removesuffix(".dcm"))
        if found is None:
            raise RefusedError(NOT_UNDERSTOOD, "an image that can be read is required; this one cannot")
        instance = replace(found, origin=origin)
        self._catalog.dicom.add([instance])
        return instance

    def _place(self, file: Path, target: Path, *, replace_it: bool) -> None:
        """Give a received file its name, synced; one of this name that is there has to be the same."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        part = target.with_name(f".{target.name}.{os.urandom(6).hex()}.part")
        try:
            try:
                os.link(file, part)
            except OSError:
                # Another file system, or one without links.
                shutil.copyfile(file, part)
                with part.open("rb") as stream:
                    os.fsync(stream.fileno())
            if not _appears(part, target, replace_it=replace_it) and not is_same(file, target):
                raise RefusedError(
                    DUPLICATE, "an instance with a UID of its own is required; another has this one already"
                )
        finally:
            part.unlink(missing_ok=True)
        fsync_folder(target.parent)

    def _opaque_name(self, uid: str) -> str:
        """A name that says nothing, always the same for one UID."""
        return hashlib.blake2b(uid.encode(), digest_size=16, key=self._catalog.salt().encode()).hexdigest()


def _appears(part: Path, target: Path, *, replace_it: bool) -> bool:
    """Give a file its name; False where there is one of this name, which then stays."""
    if not replace_it:
        try:
            # Unlike a rename, a link never replaces what is there.
            os.link(part, target)
            return True
        except FileExistsError:
            return False
        except OSError:
            # A file system without links.
            if target.exists():
                return False
    part.replace(target)
    return True


def _is_image(header: Dataset) -> bool:
    """Whether an instance becomes an image of the folder: a still that models may be asked about.

    Films and captures are taken for mammograms by those, so they have to be of a breast.
    """
    modality = stated_modality(header)
    breast = "BREAST" in (text(header, "BodyPartExamined") or "").upper()
    if modality not in ("MG", "US") and not (modality in FILM_MODALITIES and breast):
        return False
    try:
        frames = int(header.get("NumberOfFrames") or 1)
        pixels = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
    except (TypeError, ValueError):
        return False
    return pixels > 0 and frames == 1 and not is_tomosynthesis(header)
