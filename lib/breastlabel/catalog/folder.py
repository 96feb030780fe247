"""A studies folder: which images and labels lie in it, and how the catalog learns of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.catalog.models import ImageRecord, is_plain_name
from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.imaging import IMAGE_SUFFIXES, LesionClass, Modality, image_stem
from breastlabel.imaging.dicom import HeaderKeys, header_keys
from breastlabel.imaging.files import DICOM_SUFFIXES

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = [
    "CATALOG_FILE",
    "LABELS_FOLDER",
    "LABEL_SUFFIXES",
    "hashed_split",
    "label_path",
    "sync_folder",
]

CATALOG_FILE = Path(".breastlabel") / "catalog.sqlite3"
LABELS_FOLDER = Path("labels") / "final"
#: The kinds of label map that may lie in `LABELS_FOLDER`, the preferred one first.
LABEL_SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".png")

MISSING = "file-missing"
#: Kept out because the patient's images are in several splits already.
PATIENT_ACROSS_SPLITS = "patient-across-splits"
_SEEN = "folder_seen"
#: A folder changed this recently may change again without its time stamp moving.
_SETTLED_NS = 2_000_000_000


def hashed_split(key: str) -> str:
    """The split of a group whose neighbours are not known: 70/15/15 by a hash of its key.

    It depends on nothing but the key, so it stays as it is whatever is added later.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if position < 0.70:
        return "train"
    return "val" if position < 0.85 else "test"


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


def sync_folder(studies: str | Path, *, catalog: Catalog, modality: Modality = Modality.US) -> int:
    """Let the catalog learn of images and final labels that were put into the folder.

    A new image's id is its file's stem. A DICOM file belongs to the patient whom its header names, and joins
    the group and split of that patient's images that are there already; any other file is a patient of its
    own. The split of a new patient is given by a hash of its key. An image is reviewed while a final label
    is there; a normal one needs none. A known image whose file is gone is excluded as ``"file-missing"``
    until the file is back; its split is kept. Where neither the folder nor its labels changed since the last
    time, nothing is listed. Files other than images are left alone.

    Args:
        catalog: of that folder. `Catalog.open` has called this already.
        modality: what new images are taken for where no DICOM header says it.

    Returns:
        How many images were new.
    """
    folder = Path(studies).absolute()
    seen = _fingerprint(folder)
    if seen is not None and catalog.state(_SEEN) == seen:
        return 0
    files = _image_files(folder)
    labelled = _labelled_ids(folder)
    known = {record.image_id: record for record in catalog.images()}
    names = set(files.values())
    changes: dict[str, dict[str, object]] = {}
    for image_id, record in known.items():
        if labelled is not None and (reviewed := _is_reviewed(record, labelled)) != record.reviewed:
            changes.setdefault(image_id, {})["reviewed"] = reviewed
        there = record.file in names or (folder / record.file).exists()
        if not there and record.excluded is None:
            changes.setdefault(image_id, {})["excluded"] = MISSING
        elif there and record.excluded == MISSING:
            changes.setdefault(image_id, {})["excluded"] = None
    if changes:
        catalog.update_images(changes)
    patients: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in known.values():
        patients[record.patient_key].append(record)
    new = [
        _unknown_image(
            image_id,
            name,
            keys=_keys(folder / name, catalog),
            modality=modality,
            reviewed=image_id in (labelled or ()),
            patients=patients,
        )
        for image_id, name in files.items()
        if image_id not in known
    ]
    added = catalog.add_images(new)
    if seen is not None:
        catalog.set_state(_SEEN, seen)
    return added


def _is_reviewed(record: ImageRecord, labelled: set[str]) -> bool:
    if record.image_id in labelled:
        return True
    return record.reviewed and record.label == LesionClass.NORMAL.label


def _keys(file: Path, catalog: Catalog) -> HeaderKeys | None:
    if not file.name.lower().endswith(DICOM_SUFFIXES):
        return None
    try:
        return header_keys(file, salt=catalog.salt())
    except InvalidImageError:
        return None


def _unknown_image(
    image_id: str,
    name: str,
    *,
    keys: HeaderKeys | None,
    modality: Modality,
    reviewed: bool,
    patients: Mapping[str, Sequence[ImageRecord]],
) -> ImageRecord:
    """A new image, in the group and split of its patient's other images."""
    patient = (keys.patient if keys else None) or f"folder:{image_id}"
    others = patients.get(patient, ())
    group = min((r.group for r in others), default=patient)
    splits = sorted({r.split for r in others if r.split is not None}) or [hashed_split(group)]
    return ImageRecord(
        image_id=image_id,
        file=name,
        dataset="folder",
        modality=(keys.modality if keys else None) or modality,
        patient_key=patient,
        study_key=keys.study if keys else None,
        group=group,
        split=splits[0] if len(splits) == 1 else None,
        excluded=PATIENT_ACROSS_SPLITS if len(splits) > 1 else None,
        reviewed=reviewed,
    )


def _image_files(folder: Path) -> dict[str, str]:
    """Image id -> file name. Of two files with the same stem the first in the alphabet counts.

    Files whose names cannot be ids are passed over, so that one of them does not close the whole folder.
    """
    with os.scandir(folder) as entries:
        names = sorted(
            e.name
            for e in entries
            if is_plain_name(e.name) and e.name.lower().endswith(IMAGE_SUFFIXES) and e.is_file()
        )
    files: dict[str, str] = {}
    for name in names:
        files.setdefault(image_stem(Path(name)), name)
    return files


def _labelled_ids(folder: Path) -> set[str] | None:
    """Images with a final label; None where the labels cannot be listed now."""
    try:
        names = os.listdir(folder / LABELS_FOLDER)
    except FileNotFoundError:
        return set()
    except OSError:
        return None
    return {image_stem(Path(n)) for n in names if n.endswith(LABEL_SUFFIXES) and not n.startswith(".")}


def _fingerprint(folder: Path) -> str | None:
    """Changes whenever a file is added to or removed from the folder or its labels; None while in flux."""
    stamps = []
    for path in (folder, folder / LABELS_FOLDER):
        try:
            stamps.append(path.stat().st_mtime_ns)
        except OSError:
            stamps.append(0)
    if max(stamps) > time.time_ns() - _SETTLED_NS:
        return None
    return " ".join(map(str, stamps))
