"""Removes what a kill left of label files that no version names."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from breastlabel.catalog.label_files import VERSIONS_FOLDER
from breastlabel.catalog.label_folder import LABELS_ROOT, label_tags
from breastlabel.catalog.tables import labels_table

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["remove_orphans"]

_ORPHAN_SECONDS = 3600.0
#: Names that this program gives to files before a record names them; others are left alone.
_PARTIAL = re.compile(r"\..*\.part")
_OWN = re.compile(r"[A-Za-z0-9_-]{1,32}-[0-9a-f]{32}(\.nii\.gz|\.nii|\.nrrd|\.png)|" + _PARTIAL.pattern)


def remove_orphans(catalog: Catalog, *, older_than: float = _ORPHAN_SECONDS) -> int:
    """Remove label files that were written for a version which was never recorded, because of a kill.

    Args:
        older_than: seconds; a younger one may belong to a save that is under way.

    Returns:
        How many there were.
    """
    assert catalog.studies is not None
    with catalog.database.read() as connection:
        named = set(connection.scalars(select(labels_table.c.file)))
    latest = time.time_ns() - int(older_than * 1e9)
    removed = 0
    for path in _own_files(catalog.studies):
        # The change time: a version that was imported has the modification time of what was imported.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ctime_ns < latest and path.relative_to(catalog.studies).as_posix() not in named:
                path.unlink()
                removed += 1
    return removed


def _own_files(studies: Path) -> Iterator[Path]:
    versions = studies / VERSIONS_FOLDER
    folders = [studies / LABELS_ROOT / tag for tag in label_tags(studies)]
    with contextlib.suppress(FileNotFoundError):
        folders += [versions / name for name in os.listdir(versions)]
    for folder in folders:
        pattern = _OWN if folder.parent == versions else _PARTIAL
        with contextlib.suppress(NotADirectoryError, FileNotFoundError):
            yield from (folder / name for name in os.listdir(folder) if pattern.fullmatch(name))
