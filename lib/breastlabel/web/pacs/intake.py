"""Takes objects of a PACS in: images as files of the studies folder, results to those who wait for them."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.dicom_instance import DicomInstance, Origin
from breastlabel.errors import BreastLabelError, NotFoundError
from breastlabel.findings.dicom_identity import is_our_uid
from breastlabel.imaging.dicom_header import FILM_MODALITIES, stated_modality
from breastlabel.imaging.dicom_values import text
from breastlabel.imaging.mammogram_header import is_tomosynthesis
from breastlabel.web.dicomweb.received import RefusedError, checked_header
from breastlabel.web.pacs.client import Place
from breastlabel.web.pacs.errors import PacsAwayError, PacsError
from breastlabel.web.pacs.known import Known, State
from breastlabel.web.pacs.settings import PacsSettings

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.web.pacs.archive import PacsArchive

__all__ = ["RESULT_MODALITIES", "SEVERAL_FRAMES", "Intake", "Taken"]

_log = logging.getLogger(__name__)

RESULT_MODALITIES = ("SEG", "SR")
"""Of objects that say something of images."""
SEVERAL_FRAMES = "a still is required; the object holds several frames"
_NOT_HANDED_ON = "not handed on yet"


@dataclass
class Taken:
    """What was taken in since the server started.

    Attributes:
        images: became files of the folder.
        results: segmentations and reports of other programs.
        left: are nothing that is wanted, or cannot be read.
        gone: left the folder because the PACS has them no more.
        bytes: fetched or received.
    """

    images: int = 0
    results: int = 0
    left: int = 0
    gone: int = 0
    bytes: int = 0


class Intake:
    """Each object once, whether it was found in the PACS or has just been stored there.

    Attributes:
        taken: how much came.
    """

    def __init__(self, archive: PacsArchive, known: Known, settings: PacsSettings) -> None:
        assert archive.catalog.studies is not None
        self._archive, self._known, self._settings = archive, known, settings
        self._studies: Path = archive.catalog.studies
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        self.taken = Taken()

    def is_known(self, place: Place) -> bool:
        """Whether an object need not be fetched; one of ours is noted by that."""
        state = self._known.state(place.instance)
        if state not in (None, State.FAILED, State.GONE):
            return True
        if is_our_uid(place.instance):
            self._known.note(place, State.OURS)
            return True
        instance = self._archive.catalog.dicom.instance(place.instance)
        if instance is None or instance.image_id is None:
            return False
        self._known.note(place, State.IMAGE)
        return True

    def leave(self, place: Place, reason: str) -> None:
        """Note that an object is not wanted, or cannot be read, and will not be asked for again."""
        self._known.note(place, State.LEFT, reason=reason)
        self.taken.left += 1

    def note(self, instance: DicomInstance) -> None:
        """An object was kept, and need not be fetched."""
        place = _place_of(instance)
        ours = is_our_uid(place.instance)
        state = State.OURS if ours else State.RESULT if instance.image_id is None else State.IMAGE
        self._known.note(place, state)

    def take(self, place: Place, data: bytes, *, origin: Origin) -> State | None:
        """Take one object in; what became of it, None where another thread is about it.

        Args:
            data: the DICOM file.

        Raises:
            OSError: the disk is full; nothing was stored, and nothing noted.
        """
        with self.claim(place.instance) as claimed:
            if not claimed or self.is_known(place):
                return self._known.state(place.instance)
            self.require_space(2 * len(data))
            self.taken.bytes += len(data)
            try:
                instance = self._kept(place, data, origin)
            except RefusedError as error:
                self.leave(place, str(error))
                return State.LEFT
            if instance.image_id is not None:
                self._known.note(place, State.IMAGE)
                self.taken.images += 1
                self.tell(instance)
                return State.IMAGE
            # Due again until it was handed on, so that neither a kill nor a failure loses a reader's work.
            self._known.note_failure(place, _NOT_HANDED_ON, at=time.time())
            if not self.tell(instance):
                return State.FAILED
            self._known.note(place, State.RESULT)
            self.taken.results += 1
            return State.RESULT

    def remove(self, place: Place) -> None:
        """Take out of the folder what the PACS has no more, and note that."""
        with self.claim(place.instance) as claimed:
            if claimed:
                self._archive.set_aside(place.instance)
                self._known.note_gone(place)
                self.taken.gone += 1

    def deliver(self, place: Place) -> None:
        """Offer the PACS what it has not taken yet.

        Raises:
            PacsAwayError: it does not answer.
        """
        try:
            self._archive.upload(place.instance)
        except PacsAwayError:
            raise
        except (PacsError, NotFoundError) as error:
            self._known.note_failure(place, str(error), at=time.time(), state=State.OWED)
        else:
            self._known.note(place, State.OURS)

    def owe(self, instance: DicomInstance, reason: str) -> None:
        """Note that the PACS has still to be offered an object of ours."""
        self._known.note_failure(_place_of(instance), reason, at=time.time(), state=State.OWED)

    def tell(self, instance: DicomInstance) -> bool:
        """Hand an instance to all that wait for such; whether all of them took it."""
        hooks = list(self._archive.on_stored)
        taken = True
        dataset = self._archive.dataset(instance.sop_instance_uid) if hooks else None
        for hook in hooks:
            try:
                hook(dataset)
            except Exception as error:
                # Not its text: it may quote the dataset.
                _log.warning(
                    "What follows from a %s object failed: %s", instance.modality, type(error).__name__
                )
                taken = False
        return taken

    def require_space(self, wanted: int) -> None:
        """See that the disk keeps room for labels.

        Raises:
            OSError: with ``ENOSPC`` where it would not.
        """
        if shutil.disk_usage(self._studies).free - wanted < self._settings.keep_free:
            raise OSError(errno.ENOSPC, "the disk is full")

    @contextmanager
    def claim(self, uid: str) -> Iterator[bool]:
        """Hold an object against other threads; whether none of them has it."""
        with self._lock:
            claimed = uid not in self._claimed
            self._claimed.add(uid)
        try:
            yield claimed
        finally:
            if claimed:
                with self._lock:
                    self._claimed.discard(uid)

    def _kept(self, place: Place, data: bytes, origin: Origin) -> DicomInstance:
        with tempfile.TemporaryDirectory(dir=self._archive.incoming(), prefix="pacs-") as folder:
            file = Path(folder) / "instance.dcm"
            file.write_bytes(data)
            header = checked_header(file)
            said = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
            if tuple(map(str, said)) != tuple(place):
                raise _unwanted("the object that was asked for is required; another one came")
            modality = stated_modality(header)
            if modality not in RESULT_MODALITIES:
                self._check_image(header, modality)
            try:
                return self._archive.keep(file, origin=origin).instance
            except (RefusedError, OSError):
                raise
            except BreastLabelError as error:
                raise _unwanted(str(error)) from error

    def _check_image(self, header: Dataset, modality: str) -> None:
        """Raises RefusedError where it is no image that models may be asked about."""
        if modality not in self._settings.modalities:
            raise _unwanted("an image of a modality that is fetched is required; this is another")
        if modality in FILM_MODALITIES and "BREAST" not in (text(header, "BodyPartExamined") or "").upper():
            raise _unwanted("a film of a breast is required; this one does not say that it is one")
        try:
            frames = int(header.get("NumberOfFrames") or 1)
            pixels = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
        except (TypeError, ValueError):
            frames = pixels = 0
        if pixels <= 0:
            raise _unwanted("an image is required; the object holds none")
        if frames != 1 or is_tomosynthesis(header):
            raise _unwanted(SEVERAL_FRAMES)


def _place_of(instance: DicomInstance) -> Place:
    return Place(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)


def _unwanted(reason: str) -> RefusedError:
    return RefusedError(0, reason)
