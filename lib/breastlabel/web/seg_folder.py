"""Segmentations that somebody puts into the studies folder by hand go the way of those that viewers store."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.folder import dicom_but_images
from breastlabel.findings.dicom_identity import is_our_uid
from breastlabel.findings.dicom_seg_header import is_segmentation
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.stamps import Stamp, stamp_of
from breastlabel.web.dicomweb.received import RefusedError, checked_header
from breastlabel.web.seg_intake import SegIntake

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["FolderSegmentations"]

logger = logging.getLogger(__name__)


class FolderSegmentations:
    """Takes each once, and again only when its file changes. Where the catalog knows it, it is taken already.

    One that could not be taken for want of its image is looked at again when images come. Files stay where
    they were put; the archive keeps a copy of those that became labels or questions.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        assert app.catalog.studies is not None
        self._app, self._catalog = app, app.catalog
        self._studies: Path = app.catalog.studies
        self._intake = SegIntake(app)
        self._done: dict[str, Stamp] = {}
        self._waiting: set[str] = set()
        self._images = -1
        self._folder_ns = -1

    def look(self, names: Collection[str] | None) -> None:
        """Take in what is new.

        Args:
            names: of the files that came or changed, relative to the folder; None for all of it.
        """
        found = set(self._done) if names is None else set()
        if names is None:
            # Where events do not arrive this is asked every few seconds.
            changed_ns = self._studies.stat().st_mtime_ns
            names = () if changed_ns == self._folder_ns else None
            self._folder_ns = changed_ns
        found.update(dicom_but_images(self._catalog, names))
        counts = self._catalog.counts()
        if (images := counts.total - counts.missing) != self._images:
            found |= self._waiting
            self._images = images
        for name in sorted(found):
            stamp = stamp_of(self._studies / name)
            self._waiting.discard(name)
            if stamp is None or self._done.get(name) == stamp:
                continue
            if self._is_settled(self._studies / name):
                self._done[name] = stamp
            else:
                self._waiting.add(name)

    def _is_settled(self, file: Path) -> bool:
        """Look at one; False where that is worth while again although it does not change."""
        try:
            header = read_dataset(file, pixels=False, lift=False)
            uid = str(header.get("SOPInstanceUID", ""))
            if not is_segmentation(header) or is_our_uid(uid) or self._is_known(uid):
                return True
            with tempfile.TemporaryDirectory(dir=self._app.archive.incoming(), prefix="folder-") as folder:
                # A copy, for whoever put the file there may go on writing it.
                copy = Path(folder) / "instance.dcm"
                shutil.copyfile(file, copy)
                result = self._intake.take_stored(checked_header(copy))
                if result.status == "refused":
                    return result.at_fault
                self._app.archive.store_file(copy, origin="file")
        except RefusedError as error:
            logger.warning("a segmentation in the studies folder was refused: %s", error)
            return True
        except Exception as error:
            # Not its text: it may name the file.
            logger.warning("a segmentation in the studies folder was left: %s", type(error).__name__)
            return False
        return True

    def _is_known(self, uid: str) -> bool:
        taken = self._catalog.questions.find(uid) is not None
        return taken and self._catalog.dicom.instance(uid) is not None
