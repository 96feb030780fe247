"""A studies folder: which images and labels lie in it, and how the catalog learns of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from breastlabel.catalog.intake import hashed_split, new_records
from breastlabel.catalog.label_files import LABEL_SUFFIXES
from breastlabel.catalog.label_folder import LABELS_ROOT, label_tags
from breastlabel.catalog.models import FILE_MISSING, is_plain_name
from breastlabel.catalog.tables import images_table, labels_table
from breastlabel.errors import NotFoundError
from breastlabel.imaging import IMAGE_SUFFIXES, Modality, image_stem
from breastlabel.imaging.files import DICOM_SUFFIXES

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = [
    "CATALOG_FILE",
    "LABELS_FOLDER",
    "dicom_but_images",
    "hashed_split",
    "label_path",
    "sync_folder",
    "take_in",
]

CATALOG_FILE = Path(".breastlabel") / "catalog.sqlite3"
LABELS_FOLDER = Path(LABELS_ROOT) / "final"

MISSING = FILE_MISSING
# Not the name that the catalogs of version 0.1 use: they know of label files, but not of label versions.
_SEEN = "folder_and_labels_seen"
#: A folder changed this recently may change again without its time stamp moving.
_SETTLED_NS = 2_000_000_000
_CHUNK = 500


def label_path(studies: str | Path, image_id: str) -> Path | None:
    """The newest final label map of an image; None if it has none.

    Raises:
        NotFoundError: the id is not a plain name, and so no image's.
    """
    if not is_plain_name(image_id):
        raise NotFoundError(f"an image id must be a plain name; got '{image_id}'; list the images")
    newest: tuple[int, Path] | None = None
    for suffix in LABEL_SUFFIXES:
        path = Path(studies) / LABELS_FOLDER / f"{image_id}{suffix}"
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            continue
        if newest is None or written > newest[0]:
            newest = written, path
    return None if newest is None else newest[1]


def sync_folder(
    studies: str | Path, *, catalog: Catalog, modality: Modality = Modality.US, always: bool = False
) -> int:
    """Let the catalog learn of images and labels that were put into the folder or taken out of it.

    A new image's id is its file's stem. A DICOM file belongs to the patient whom its header names, and joins
    the group and split of that patient's images that are there already; any other file is a patient of its
    own. What else the header says, such as side, view, study and date, goes into the record. The split of a
    new patient is given by a hash of its key. A known image whose file is gone is excluded as
    ``"file-missing"`` until the file is back; its split is kept. Labels become versions (`reconcile`). Where
    neither the folder nor its labels changed since the last time, nothing is listed.
    Files other than images and labels are left alone.

    Args:
        catalog: of that folder. `Catalog.open` has called this already.
        modality: what new images are taken for where no DICOM header says it.
        always: list the folder even where its time stamps say that nothing changed.

    Returns:
        How many images were new.
    """
    from breastlabel.catalog.legacy import import_legacy
    from breastlabel.catalog.reconcile import reconcile

    folder = Path(studies).absolute()
    seen = _fingerprint(folder, catalog)
    if not always and seen is not None and catalog.state(_SEEN) == seen:
        return 0
    files = _image_files(folder)
    known = _known_images(catalog)
    _mark_missing(catalog, _missing(folder, files, known), known)
    new = {image_id: name for image_id, name in files.items() if image_id not in known}
    added = catalog.add_images(new_records(catalog, folder, new, modality))
    import_legacy(catalog)
    reconcile(catalog)
    if seen is not None:
        catalog.set_state(_SEEN, seen)
    return added


def take_in(catalog: Catalog, names: Iterable[str], *, modality: Modality = Modality.US) -> int:
    """`sync_folder` for a few files that are known to have come, changed or gone.

    Args:
        names: POSIX paths relative to the studies folder: ``case-1.png``, ``labels/final/case-1.nii.gz``.
            Files that are neither an image nor a label are passed over.

    Returns:
        How many images were new.
    """
    from breastlabel.catalog.reconcile import reconcile_labels

    assert catalog.studies is not None
    folder = catalog.studies
    images: dict[str, str] = {}
    labels: set[tuple[str, str]] = set()
    for path in map(PurePosixPath, sorted(names)):
        if len(path.parts) == 1 and _is_image_name(path.name):
            images.setdefault(image_stem(path.name), path.name)
        elif len(path.parts) == 3 and path.parts[0] == LABELS_ROOT and path.name.endswith(LABEL_SUFFIXES):
            labels.add((image_stem(path.name), path.parts[1]))
    known = _known_images(catalog, list(images))
    gone = {i for i, (file, _) in known.items() if not (folder / file).exists()}
    _mark_missing(catalog, gone, known)
    new = {i: name for i, name in images.items() if i not in known and (folder / name).is_file()}
    added = catalog.add_images(new_records(catalog, folder, new, modality))
    # A label may have come before its image.
    labels.update((image_id, tag) for image_id in new for tag in label_tags(folder))
    reconcile_labels(catalog, labels)
    catalog.dicom.look_again(images)
    return added


def dicom_but_images(catalog: Catalog, names: Iterable[str] | None = None) -> list[str]:
    """DICOM files of the studies folder that are no images of the catalog: segmentations of such.

    Args:
        names: to look for among; None lists the folder.
    """
    assert catalog.studies is not None
    folder = catalog.studies
    found = sorted(
        name
        for name in (os.listdir(folder) if names is None else names)
        if name.lower().endswith(DICOM_SUFFIXES) and is_plain_name(name)
    )
    only = None if names is None else [image_stem(name) for name in found]
    known = {file for file, _ in _known_images(catalog, only).values()}
    return [name for name in found if name not in known and (folder / name).is_file()]


def _known_images(catalog: Catalog, only: list[str] | None = None) -> dict[str, tuple[str, str | None]]:
    """Image id -> (file, why it is excluded)."""
    table = images_table.c
    query = select(table.image_id, table.file, table.excluded)
    found: dict[str, tuple[str, str | None]] = {}
    with catalog.database.read() as connection:
        chunks = [query] if only is None else [query.where(table.image_id.in_(c)) for c in _chunks(only)]
        for chunk in chunks:
            found.update((row[0], (row[1], row[2])) for row in connection.execute(chunk))
    return found


def _missing(folder: Path, files: Mapping[str, str], known: Mapping[str, tuple[str, str | None]]) -> set[str]:
    """Known images whose file is not there; each subfolder is listed once."""
    names: dict[str, set[str]] = {"": set(files.values())}
    missing = set()
    for image_id, (file, _) in known.items():
        parent, _, name = file.rpartition("/")
        if parent not in names:
            try:
                names[parent] = set(os.listdir(folder / parent))
            except OSError:
                names[parent] = set()
        # Of two files with one stem only the first is listed.
        if name not in names[parent] and not (folder / file).exists():
            missing.add(image_id)
    return missing


def _mark_missing(catalog: Catalog, missing: set[str], known: Mapping[str, tuple[str, str | None]]) -> None:
    """Exclude images without a file; take back those that have theirs again."""
    changes: dict[str, dict[str, object]] = {}
    for image_id, (_, excluded) in known.items():
        if image_id in missing and excluded is None:
            changes[image_id] = {"excluded": MISSING}
        elif image_id not in missing and excluded == MISSING:
            changes[image_id] = {"excluded": None}
    if changes:
        catalog.update_images(changes)


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and is_plain_name(name)


def _image_files(folder: Path) -> dict[str, str]:
    """Image id -> file name. Of two files with the same stem the first in the alphabet counts.

    Files whose names cannot be ids are passed over, so that one of them does not close the whole folder.
    """
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if _is_image_name(e.name) and e.is_file())
    files: dict[str, str] = {}
    for name in names:
        files.setdefault(image_stem(name), name)
    return files


def _fingerprint(folder: Path, catalog: Catalog) -> str | None:
    """Changes whenever a file is added to or removed from the folder or its labels; None while in flux.

    It also changes with every label version: one that was recorded before a kill may not be shown yet.
    """
    try:
        folders = (folder, *(folder / LABELS_ROOT / tag for tag in label_tags(folder)))
        stamps = [path.stat().st_mtime_ns for path in folders]
    except OSError:
        return None
    if max(stamps) > time.time_ns() - _SETTLED_NS:
        return None
    return " ".join(map(str, (*stamps, last_label_id(catalog))))


def last_label_id(catalog: Catalog) -> int:
    """The id of the newest label version; 0 where there is none."""
    with catalog.database.read() as connection:
        return connection.execute(select(func.max(labels_table.c.label_id))).scalar() or 0


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
