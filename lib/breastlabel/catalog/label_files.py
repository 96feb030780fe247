"""Label maps on the disk: one immutable file a version, and folders that show the newest ones.

``.breastlabel/label-versions/<image id>/<tag>-<unique>.nii.gz`` is written once.
``labels/<tag>/<image id>.nii.gz``, where viewers, trainers and MONAI Label look, is a *projection*: a copy of
the version that counts, with its time stamp. It is a copy and no hard link because most tools write a file in
place: through a link such an edit would change the version itself, and with it what was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from breastlabel.catalog.label_version import LabelVersion, is_tag
from breastlabel.errors import InvalidLabelError, StudiesError, UnknownNameError
from breastlabel.imaging.atomic import fsync_folder, write_bytes_atomically

__all__ = ["LABEL_SUFFIXES", "VERSIONS_FOLDER", "LabelFiles", "sha256_of"]

#: The kinds of label map there may be, the preferred one first.
LABEL_SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".png")
#: Where the versions lie, below the studies folder.
VERSIONS_FOLDER = Path(".breastlabel") / "label-versions"
_LABELS = Path("labels")


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content, hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class LabelFiles:
    """The label files of one studies folder."""

    def __init__(self, studies: Path | None) -> None:
        self._studies = studies

    @property
    def studies(self) -> Path:
        """The folder.

        Raises:
            StudiesError: the catalog was opened by URL without one.
        """
        if self._studies is None:
            raise StudiesError("a studies folder is required to find files; got none; give `studies`")
        return self._studies

    def path(self, version: LabelVersion) -> Path:
        """Where the version's immutable file lies."""
        return self.studies / version.file

    def folder(self, tag: str) -> Path:
        """Where the labels of a tag are shown.

        Raises:
            InvalidLabelError: the tag is no plain word, and so no folder's name.
        """
        _check_tag(tag)
        return self.studies / _LABELS / tag

    def store(self, image_id: str, data: bytes, *, tag: str, suffix: str) -> str:
        """Write a version's file; it is on the disk (synced) when the call returns.

        Args:
            image_id: a plain name.

        Returns:
            The path relative to the studies folder, as the catalog stores it.

        Raises:
            InvalidLabelError: the tag is no plain word, or there is no content.
            UnknownNameError: no suffix of a label map.
            OSError: nothing was written (full disk, no permission).
        """
        _check_tag(tag)
        if suffix not in LABEL_SUFFIXES:
            raise UnknownNameError("suffix of a label map", suffix, LABEL_SUFFIXES)
        if not data:
            raise InvalidLabelError("a label map is required; got an empty file; save it again")
        folder = self.studies / VERSIONS_FOLDER / image_id
        name = f"{tag}-{uuid.uuid4().hex}{suffix}"
        with _made_durably(folder):
            write_bytes_atomically(folder / name, data)
        # The system's own stamps move in steps of milliseconds, and two versions may be saved within one.
        os.utime(folder / name, ns=(now := time.time_ns(), now))
        return (VERSIONS_FOLDER / image_id / name).as_posix()

    def discard(self, file: str) -> None:
        """Remove a file that `store` wrote and that no version will ever name."""
        path = self.studies / file
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()

    def shown(self, image_id: str, tag: str) -> list[Path]:
        """The files that lie in ``labels/<tag>`` for the image: the projection, or what was put there."""
        stem = str(self.folder(tag) / image_id)
        return [Path(stem + suffix) for suffix in LABEL_SUFFIXES if os.path.isfile(stem + suffix)]

    def shows(self, file: Path, version: LabelVersion) -> bool:
        """Whether a file is an untouched projection of this version, told by size and time stamp alone.

        False for a copy that lost its time stamp; only the content (`sha256_of`) then tells.
        """
        try:
            there, kept = file.stat(), self.path(version).stat()
        except OSError:
            return False
        return (there.st_size, there.st_mtime_ns) == (kept.st_size, kept.st_mtime_ns)

    def projection(self, version: LabelVersion, tag: str) -> Path:
        """Where a version lies while it is the one that is shown under the tag."""
        suffix = next(s for s in LABEL_SUFFIXES if version.file.endswith(s))
        return self.folder(tag) / f"{version.image_id}{suffix}"

    def project(self, version: LabelVersion, tag: str) -> Path:
        """Put a copy of a version where its tag's labels are looked for; whole, or not at all.

        The copy is not synced: after a power cut it is made again from the version, which is.
        """
        source, target = self.path(version), self.projection(version, tag)
        # Size and time stamp may be right where a power cut left nothing but zeros.
        if self.shows(target, version) and target.read_bytes() == source.read_bytes():
            return target
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
        try:
            temporary.write_bytes(source.read_bytes())
            written = source.stat()
            os.utime(temporary, ns=(written.st_atime_ns, written.st_mtime_ns))
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        return target


@contextlib.contextmanager
def _made_durably(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there; that it is there is on the disk when the context ends.

    A disk takes two syncs at once in little more time than one, and the reader waits for all of them.
    """
    if folder.is_dir():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    syncing = threading.Thread(target=fsync_folder, args=(folder.parent,))
    syncing.start()
    try:
        yield
    finally:
        syncing.join()


def _check_tag(tag: str) -> None:
    if not is_tag(tag):
        raise InvalidLabelError("a label's tag must be a plain word such as final; got another; leave it out")
