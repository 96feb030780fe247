"""Takes over what MONAI Label's folder datastore, and breastlabel 0.1, knew of a studies folder."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from breastlabel.catalog.label_files import VERSIONS_FOLDER
from breastlabel.catalog.label_folder import label_entries, label_tags
from breastlabel.catalog.label_import import FoundLabel, import_labels, written_at
from breastlabel.catalog.tables import images_table
from breastlabel.imaging import image_stem

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["STOCK_INDEX", "import_legacy"]

_log = logging.getLogger(__name__)

#: The index of MONAI Label's ``LocalDatastore``: ``objects[image id].image.info`` and ``.labels[tag].info``.
STOCK_INDEX = "datastore_v2.json"
_IMPORTED = "stock_index_imported"
#: An earlier reading as breastlabel 0.1 kept it, named by when it was replaced (ns since 1970) and its tag.
_KEPT = re.compile(r"(\d{16,20})-([A-Za-z0-9_-]{1,32})(\.nii\.gz|\.nii|\.nrrd|\.png)")
# What the datastore said of the file itself. The catalog says it better.
_OF_THE_FILE = ("name", "path", "id", "checksum")
_CHUNK = 500


@dataclass(frozen=True)
class _StockIndex:
    """What was noted on images, and on labels by (image id, tag)."""

    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


def import_legacy(catalog: Catalog) -> None:
    """Take over the notes on images, the labels and the earlier versions of labels, oldest first.

    Nothing of the old datastore is changed or removed. It is done once for each state of the index; done
    again, or after a kill, it adds only what is not there yet. An index that cannot be read is reported once,
    and the folder is taken as one without.

    Args:
        catalog: knows the images of the folder already.
    """
    assert catalog.studies is not None
    index_file = catalog.studies / STOCK_INDEX
    state = _state_of(index_file)
    if catalog.state(_IMPORTED) == state:
        return
    index = _read(index_file)
    found = list(_labels(catalog.studies, index))
    import_labels(catalog, found)
    _note_on_images(catalog, index.images)
    catalog.set_state(_IMPORTED, state)


def _state_of(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError:
        return "none"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _read(file: Path) -> _StockIndex:
    try:
        told = json.loads(file.read_bytes())
        objects = dict(told["objects"])
    except FileNotFoundError:
        return _StockIndex()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        _log.warning(
            "%s cannot be read, so notes on its images and labels are not taken over; the images and label "
            "files themselves are. Put back a whole one to take over its notes too",
            STOCK_INDEX,
        )
        return _StockIndex()
    index = _StockIndex()
    for image_id, entry in objects.items():
        if info := _info(entry, "image"):
            index.images[image_id] = info
        for tag in _mapping(_mapping(entry).get("labels")):
            index.labels[image_id, tag] = _info(_mapping(entry)["labels"], tag)
    return index


def _info(entry: object, name: str) -> dict[str, Any]:
    info = _mapping(_mapping(_mapping(entry).get(name)).get("info"))
    return {k: v for k, v in info.items() if k not in _OF_THE_FILE}


def _mapping(value: object) -> Mapping[str, Any]:
    """A part of the index, or nothing where other software wrote something else in its place."""
    return value if isinstance(value, Mapping) else {}


def _labels(studies: Path, index: _StockIndex) -> Iterator[FoundLabel]:
    """All labels of the folder: those that are kept, oldest first, then those that are shown."""
    shown = [
        (image_stem(entry.name), tag, Path(entry.path))
        for tag in label_tags(studies)
        for entry in sorted(label_entries(studies, tag), key=lambda e: e.stat().st_mtime_ns)
    ]
    counted = {(image_id, tag) for image_id, tag, _ in shown}
    for image_id, path, match in _kept(studies / VERSIONS_FOLDER):
        tag = match[2]
        # When it was replaced is no more than the latest moment at which it can have been made.
        replaced = datetime.fromtimestamp(int(match[1]) / 1e9, UTC)
        info = _kept_info(path.with_name(f"{match[1]}-{tag}.json"))
        yield _label(image_id, tag, path, info, told=replaced, accepted=(image_id, tag) in counted)
    for image_id, tag, path in shown:
        info = index.labels.get((image_id, tag), {})
        yield _label(image_id, tag, path, info, told=written_at(path), accepted=True)


def _kept(folder: Path) -> Iterator[tuple[str, Path, re.Match[str]]]:
    try:
        images = sorted(e.name for e in os.scandir(folder) if e.is_dir())
    except OSError:
        return
    for image_id in images:
        for name in sorted(os.listdir(folder / image_id)):
            if match := _KEPT.fullmatch(name):
                yield image_id, folder / image_id / name, match


def _kept_info(file: Path) -> dict[str, Any]:
    try:
        return {k: v for k, v in _mapping(json.loads(file.read_bytes())).items() if k not in _OF_THE_FILE}
    except (OSError, ValueError, RecursionError):
        return {}


def _label(
    image_id: str, tag: str, path: Path, info: dict[str, Any], *, told: datetime, accepted: bool
) -> FoundLabel:
    def text(*names: str) -> str | None:
        return next((str(info[n]) for n in names if isinstance(info.get(n), str | int) and info[n]), None)

    return FoundLabel(
        image_id=image_id,
        tag=tag,
        path=path,
        created_at=_moment(info.get("ts")) or told,
        accepted=accepted,
        author=text("author", "user"),
        client_id=text("client_id"),
        model=text("model"),
        model_version=text("model_version"),
        info=info,
    )


def _moment(ts: object) -> datetime | None:
    """Seconds since 1970, as the stock datastore notes them."""
    if isinstance(ts, bool) or not isinstance(ts, int | float):
        return None
    try:
        return datetime.fromtimestamp(ts, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _note_on_images(catalog: Catalog, notes: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the notes to those that the images have; what the catalog knows already stays."""
    table = images_table.c
    change = (
        update(images_table).where(table.image_id == bindparam("b_image")).values(info=bindparam("b_info"))
    )
    ids = sorted(notes)
    for start in range(0, len(ids), _CHUNK):
        with catalog.database.write() as connection:
            query = select(table.image_id, table.info).where(table.image_id.in_(ids[start : start + _CHUNK]))
            rows = connection.execute(query.order_by(table.image_id).with_for_update()).all()
            changed = [
                {"b_image": image_id, "b_info": {**notes[image_id], **info}}
                for image_id, info in rows
                if not notes[image_id].keys() <= info.keys()
            ]
            if changed:
                connection.execute(change, changed)
