"""Where the segmentations lie about which there is, or was, a question."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from breastlabel.errors import NotFoundError, StudiesError
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["QUESTIONS_FOLDER", "QuestionFiles"]

#: Below the studies folder.
QUESTIONS_FOLDER = Path(".breastlabel") / "segmentations"


class QuestionFiles:
    """The kept DICOM files of one studies folder, under names that say nothing of a patient."""

    def __init__(self, studies: Path | None) -> None:
        self._studies = studies

    def store(self, data: bytes) -> str:
        """Write a file; it is on the disk when the call returns.

        Returns:
            The path relative to the studies folder.

        Raises:
            StudiesError: the catalog was opened by URL without a folder.
            OSError: nothing was written (full disk, no permission).
        """
        file = QUESTIONS_FOLDER / f"{uuid.uuid4().hex}.dcm"
        write_bytes_atomically(self._path(file.as_posix()), data)
        return file.as_posix()

    def read(self, file: str) -> bytes:
        """A file's content.

        Raises:
            NotFoundError: it is gone.
        """
        try:
            return self._path(file).read_bytes()
        except FileNotFoundError:
            raise NotFoundError(
                "the question's segmentation is required; its file is gone; store it again from the viewer"
            ) from None

    def discard(self, file: str) -> None:
        """Remove a file that no question names."""
        with contextlib.suppress(OSError):
            self._path(file).unlink()

    def _path(self, file: str) -> Path:
        if self._studies is None:
            raise StudiesError("a studies folder is required to find files; got none; give `studies`")
        return self._studies / file
