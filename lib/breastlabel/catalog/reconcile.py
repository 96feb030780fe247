"""Compares the label files in ``labels`` with the label versions of the catalog, and sets right what differs.

Three things make them differ. A process was killed, or the power failed, between the record of a version and
its projection: then the projection is made again. Somebody put a label map there, or edited one, with other
software: then it becomes a new version. Somebody took one away: then its version no longer counts.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from breastlabel.catalog.folder import last_label_id
from breastlabel.catalog.label_effects import newest
from breastlabel.catalog.label_files import VERSIONS_FOLDER, LabelFiles, sha256_of
from breastlabel.catalog.label_folder import LABELS_ROOT, label_entries, label_tags
from breastlabel.catalog.label_import import FoundLabel, import_labels, written_at
from breastlabel.catalog.label_version import FINAL, LabelVersion, is_tag
from breastlabel.catalog.tables import labels_table
from breastlabel.imaging import image_stem
from breastlabel.imaging.atomic import fsync_folder

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["Reconciled", "reconcile", "reconcile_labels"]

_log = logging.getLogger(__name__)

_SEEN = "labels_seen"
#: What is said of a version whose file somebody put into the folder.
FROM_FOLDER = {"source": "folder"}
#: A version so young may not be projected yet by the process that saves it.
_YOUNG = timedelta(seconds=10)
#: A clock's step, and the step of a file system's time stamps, stay below this.
_SLACK_NS = 2_000_000_000
_CHUNK = 500


@dataclass(frozen=True)
class Reconciled:
    """What a comparison found and did.

    Attributes:
        adopted: files that became new versions.
        projected: projections made again.
        removed: labels that no longer count, because somebody took their file away.
        missing: ids of labels that count and whose version's own file is gone; nothing is done about them.
        failed: ids of labels whose projection could not be made (full disk, no permission).
    """

    adopted: int = 0
    projected: int = 0
    removed: int = 0
    missing: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()

    def __add__(self, other: Reconciled) -> Reconciled:
        return Reconciled(
            self.adopted + other.adopted,
            self.projected + other.projected,
            self.removed + other.removed,
            self.missing + other.missing,
            self.failed + other.failed,
        )


@dataclass(frozen=True)
class _Seen:
    """How far an earlier comparison came.

    Attributes:
        label_id: all projections up to this label were in their place, and that place on the disk.
        changed_ns: files changed before this moment were looked at.
    """

    label_id: int = 0
    changed_ns: int = 0

    @classmethod
    def load(cls, catalog: Catalog) -> _Seen:
        label_id, _, changed = (catalog.state(_SEEN) or "0 0").partition(" ")
        return cls(int(label_id), int(changed))

    def store(self, catalog: Catalog) -> None:
        catalog.set_state(_SEEN, f"{self.label_id} {self.changed_ns}")


def reconcile(catalog: Catalog, *, full: bool = False) -> Reconciled:
    """Compare all label files with the catalog.

    A file whose content is that of an earlier version of the label counts as that version's projection: to
    go back to an earlier reading, restore it in the catalog. A label file that is gone was taken away by
    somebody only where an earlier comparison has seen it; else it was never shown, and is now. So is every
    label of a tag whose folder is gone as a whole.

    Args:
        full: look at every file, and at every version's own file. Else only at those that were put there,
            changed or removed since the last comparison, which takes a fraction of a second for 50,000.
    """
    assert catalog.studies is not None
    seen = _Seen.load(catalog)
    started = time.time_ns() - _SLACK_NS
    last = last_label_id(catalog)
    shown = _shown_labels(catalog)
    try:
        there, listed = _label_stamps(catalog.studies)
    except OSError as error:
        _log.warning("The labels cannot be listed now (%s); they are compared later", error.strerror)
        return Reconciled()
    doubtful = {
        key for key, files in there.items() if not _is_settled(catalog, files, shown.get(key), seen, full)
    }
    doubtful |= {key for key in shown if key not in there}
    imported, new = _import_unknown(catalog, sorted(key for key in doubtful if key not in shown))
    done = Reconciled(adopted=imported)
    for image_id, tag in sorted(doubtful - new):
        done += _settle(catalog, image_id, tag, seen if tag in listed else _Seen())
    if done.missing:
        _log.warning(
            "The files of %d label versions are gone from %s; put them back from a backup",
            len(done.missing),
            VERSIONS_FOLDER,
        )
    if doubtful or last > seen.label_id:
        _sync_folders(catalog.studies)
        # What could not be shown was not seen: later it would pass for one that somebody took away.
        _Seen(min((last, *(label_id - 1 for label_id in done.failed))), started).store(catalog)
    return done


def reconcile_labels(catalog: Catalog, labels: Iterable[tuple[str, str]]) -> Reconciled:
    """Compare the files of some labels, (image id, tag), that are known to have come, changed or gone."""
    done = Reconciled()
    for image_id, tag in sorted(set(labels)):
        if is_tag(tag):
            done += _settle(catalog, image_id, tag, None)
    return done


def _settle(catalog: Catalog, image_id: str, tag: str, seen: _Seen | None) -> Reconciled:
    """Compare one label's files with its versions.

    Args:
        seen: None where an event told that something happened to the file just now.
    """
    try:
        return _settle_now(catalog, image_id, tag, seen)
    except FileNotFoundError:
        # Somebody is at work on it; what comes of that is seen next time.
        return Reconciled()


def _settle_now(catalog: Catalog, image_id: str, tag: str, seen: _Seen | None) -> Reconciled:
    assert catalog.studies is not None
    files = LabelFiles(catalog.studies)
    there = sorted(files.shown(image_id, tag), key=lambda f: f.stat().st_mtime_ns)
    history = catalog.labels.history(image_id)
    current = newest(history, tag)
    if current is not None and not files.path(current).is_file():
        return Reconciled(missing=(current.label_id,))
    if not there:
        return Reconciled() if current is None else _settle_missing(catalog, current, tag, seen)
    versions = [v for v in history if tag in (v.tag, v.shown_as)]
    contents = {file: sha256_of(file) for file in there}
    foreign = [file for file in there if not _is_ours(files, file, contents[file], versions)]
    if foreign:
        adopted = import_labels(catalog, [_found(image_id, tag, file) for file in foreign])
        if adopted and len(there) > 1:
            catalog.labels.project(image_id, tag)
        return Reconciled(adopted=adopted)
    if current is None:
        # Its label was taken back while the file was away, and now the file is there again.
        match = next((v for v in reversed(versions) if v.sha256 == contents[there[-1]]), None)
        if match is not None:
            catalog.labels.set_state(image_id, match.version, FINAL)
        return Reconciled(adopted=int(match is not None))
    if list(contents.values()) == [current.sha256]:
        return Reconciled()
    return _show(catalog, current, tag)


def _show(catalog: Catalog, current: LabelVersion, tag: str) -> Reconciled:
    if catalog.labels.project(current.image_id, tag):
        return Reconciled(projected=1)
    return Reconciled(failed=(current.label_id,))


def _is_ours(files: LabelFiles, file: Path, sha256: str, versions: Iterable[LabelVersion]) -> bool:
    """Whether a file is a projection, though perhaps of an earlier version, or damaged by a power cut."""
    stat = file.stat()
    if stat.st_size == 0:
        return True
    stamps = {path.stat().st_mtime_ns for v in versions if (path := files.path(v)).is_file()}
    return stat.st_mtime_ns in stamps or any(v.sha256 == sha256 for v in versions)


def _settle_missing(catalog: Catalog, current: LabelVersion, tag: str, seen: _Seen | None) -> Reconciled:
    if seen is None:
        was_shown = datetime.now(UTC) - current.created_at > _YOUNG
    else:
        was_shown = current.label_id <= seen.label_id
    if was_shown:
        catalog.labels.remove(current.image_id, tag)
        return Reconciled(removed=1)
    return _show(catalog, current, tag)


def _is_settled(
    catalog: Catalog, files: list[_Stamp], shown: tuple[int, str] | None, seen: _Seen, full: bool
) -> bool:
    """Whether a label's file was compared before and is what it was; told without reading it."""
    if shown is None or len(files) != 1:
        return False
    label_id, file = shown
    if not full and label_id <= seen.label_id and files[0].changed_ns < seen.changed_ns:
        return True
    assert catalog.studies is not None
    try:
        kept = os.stat(os.path.join(catalog.studies, file))
    except OSError:
        return False
    return (kept.st_size, kept.st_mtime_ns) == (files[0].size, files[0].written_ns)


def _import_unknown(catalog: Catalog, keys: Sequence[tuple[str, str]]) -> tuple[int, set[tuple[str, str]]]:
    """Make first versions of labels that never had one; how many there are, and which were looked at."""
    assert catalog.studies is not None
    files = LabelFiles(catalog.studies)
    table = labels_table.c
    known: set[tuple[str, str]] = set()
    with catalog.database.read() as connection:
        for start in range(0, len(keys), _CHUNK):
            ids = {image_id for image_id, _ in keys[start : start + _CHUNK]}
            query = select(table.image_id, table.tag).where(table.image_id.in_(ids)).distinct()
            known.update((row[0], row[1]) for row in connection.execute(query))
    new = [key for key in keys if key not in known]
    found = [
        _found(image_id, tag, path)
        for image_id, tag in new
        for path in sorted(files.shown(image_id, tag), key=lambda p: p.stat().st_mtime_ns)
    ]
    return import_labels(catalog, found), set(new)


def _found(image_id: str, tag: str, path: Path) -> FoundLabel:
    return FoundLabel(image_id, tag, path, created_at=written_at(path), info=FROM_FOLDER)


def _shown_labels(catalog: Catalog) -> dict[tuple[str, str], tuple[int, str]]:
    """(image id, tag) -> (id, file) of the version that counts."""
    table = labels_table.c
    last = select(func.max(table.label_id)).where(table.shown_as.is_not(None))
    query = select(table.image_id, table.shown_as, table.label_id, table.file).where(
        table.label_id.in_(last.group_by(table.shown_as, table.image_id))
    )
    with catalog.database.read() as connection:
        return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


class _Stamp(NamedTuple):
    changed_ns: int
    written_ns: int
    size: int


def _label_stamps(studies: Path) -> tuple[dict[tuple[str, str], list[_Stamp]], set[str]]:
    """The label files by (image id, tag), and the tags whose folder is there.

    Raises:
        OSError: a folder is there but cannot be listed.
    """
    found: dict[tuple[str, str], list[_Stamp]] = defaultdict(list)
    tags = set(label_tags(studies))
    for tag in tags:
        for entry in label_entries(studies, tag):
            stat = entry.stat()
            stamp = _Stamp(stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size)
            found[image_stem(entry.name), tag].append(stamp)
    return found, tags


def _sync_folders(studies: Path) -> None:
    """Bring the names of all projections onto the disk, so that one that is missing later was taken away."""
    for tag in label_tags(studies):
        fsync_folder(studies / LABELS_ROOT / tag)
