"""Lists the label files of a studies folder: ``labels/<tag>/<image id>.<suffix>``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from breastlabel.catalog.label_files import LABEL_SUFFIXES
from breastlabel.catalog.label_version import is_tag

__all__ = ["LABELS_ROOT", "label_entries", "label_tags"]

#: Below it, one folder a tag.
LABELS_ROOT = "labels"


def label_tags(studies: Path) -> list[str]:
    """The tags that have a folder, sorted.

    Raises:
        OSError: the folder of labels is there but cannot be listed.
    """
    try:
        with os.scandir(studies / LABELS_ROOT) as entries:
            return sorted(e.name for e in entries if is_tag(e.name) and e.is_dir())
    except FileNotFoundError:
        return []


def label_entries(studies: Path, tag: str) -> Iterator[os.DirEntry[str]]:
    """The label files of a tag, in no order.

    Raises:
        OSError: the folder cannot be listed.
    """
    with os.scandir(studies / LABELS_ROOT / tag) as entries:
        for entry in entries:
            if entry.name.endswith(LABEL_SUFFIXES) and not entry.name.startswith("."):
                yield entry
