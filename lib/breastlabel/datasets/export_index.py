"""What an export of labels says of its files: ``index.json`` and ``index.csv``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from breastlabel.imaging import LesionClass

__all__ = ["ExportedLabel", "SkippedLabel", "indexed_files", "write_index"]

_KIND = "breastlabel labels"
_INDEX, _TABLE = "index.json", "index.csv"


@dataclass(frozen=True, kw_only=True)
class ExportedLabel:
    """One exported label map; ``index.json`` has these fields, ``index.csv`` the plain ones.

    Attributes:
        file: POSIX path within the export.
        version: None for a consensus, as all that is of one version.
        sha256: of the exported file.
        consensus: the method, where several readings were made into one; else None.
        readers: of a consensus: reader -> the version that went into it.
        performance: of a consensus by STAPLE: reader -> ``lesion``, ``benign``, ``malignant`` -> estimated
            sensitivity and specificity, pixel by pixel.
    """

    file: str
    image_id: str
    patient_key: str
    split: str | None
    label: str | None
    sha256: str
    version: int | None = None
    tag: str | None = None
    state: str | None = None
    author: str | None = None
    client_id: str | None = None
    created_at: str | None = None
    model: str | None = None
    model_version: str | None = None
    seconds_spent: float | None = None
    agreement: Mapping[str, Any] | None = None
    consensus: str | None = None
    readers: Mapping[str, int] | None = None
    performance: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None


@dataclass(frozen=True)
class SkippedLabel:
    """A label that could not be exported, and why."""

    image_id: str
    version: int
    reason: str


def write_index(
    folder: Path, tag: str, exported: Sequence[ExportedLabel], skipped: Sequence[SkippedLabel]
) -> None:
    """Write both files; who made each label, when and from what.

    Args:
        folder: of the export.
        tag: of the labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = [asdict(label) for label in exported]
    index = {
        "kind": _KIND,
        "format": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tag": tag,
        "label_names": {c.label: int(c) for c in (LesionClass.BENIGN, LesionClass.MALIGNANT)},
        "labels": labels,
        "skipped": [asdict(label) for label in skipped],
    }
    text = json.dumps(index, indent=2, allow_nan=False)
    (folder / _INDEX).write_text(text + "\n", encoding="utf-8")
    (folder / _TABLE).write_text(_csv(labels), encoding="utf-8", newline="")


def indexed_files(folder: Path) -> set[str] | None:
    """What an export holds by its index, as POSIX paths within it; None where the folder is no export."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if index["kind"] != _KIND:
            return None
        return {_INDEX, _TABLE, *(str(label["file"]) for label in index["labels"])}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _csv(labels: list[dict[str, Any]]) -> str:
    """The plain fields, and the figures of the agreement in columns of their own."""
    measures = ("dice", "assd", "hd95", "distance_unit", "added", "removed", "class_changed", "unchanged")
    nested = ("agreement", "readers", "performance")
    plain = [f.name for f in fields(ExportedLabel) if f.name not in nested]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*plain, *measures])
    for label in labels:
        agreement = label["agreement"] or {}
        writer.writerow([*(label[name] for name in plain), *(agreement.get(name) for name in measures)])
    return text.getvalue()
