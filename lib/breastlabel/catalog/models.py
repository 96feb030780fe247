"""One image as the catalog knows it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Column

from breastlabel.catalog.tables import images_table
from breastlabel.errors import StudiesError
from breastlabel.imaging.vocabulary import Laterality, LesionClass, Modality, ViewPosition

__all__ = [
    "FILE_MISSING",
    "SPLITS",
    "ImageRecord",
    "is_plain_name",
    "record_columns",
    "record_from_row",
    "row_from_record",
]

SPLITS = ("train", "val", "test")
#: Why an image is excluded whose file is gone; it is back when the file is.
FILE_MISSING = "file-missing"
_LABELS = tuple(c.label for c in LesionClass)


def is_plain_name(name: str) -> bool:
    """Whether a name can be an image's id: text without path separators and control characters.

    A file name that is not valid in the system's encoding (Latin-1 from an old machine) holds lone
    surrogates, which neither the database nor a terminal can store or show.
    """
    return (
        bool(name)
        and not name.startswith(".")
        and "/" not in name
        and "\\" not in name
        # Printable text, which nearly every name is, holds neither; it is told a hundred times as fast.
        and (name.isprintable() or not any(unicodedata.category(c) in ("Cc", "Cs") for c in name))
    )


@dataclass(frozen=True)
class ImageRecord:
    """What the catalog knows of one image.

    Attributes:
        image_id: unique in the studies folder; the file's stem.
        file: POSIX path relative to the studies folder.
        dataset: where it comes from: an importer's name, or ``"folder"``.
        patient_key: a key for grouping, not the patient's identifier in any hospital system.
        group: images that must never be parted by a split: one patient's, and near-duplicates.
        split: ``"train"``, ``"val"``, ``"test"``, or None for an image that belongs to none.
        label: ``"normal"``, ``"benign"``, ``"malignant"`` as the source or the reader says; None unknown.
        reviewed: a label map was accepted for the image; an empty one then means normal.
        excluded: why the image is kept out of training and evaluation; None where it takes part.
        spacing_rows: mm between rows; None where unknown.
        spacing_cols: mm between columns; None where unknown.
        metadata: what else the source says (``birads``, ``histology``, ...), plain JSON values.
    """

    image_id: str
    file: str
    dataset: str
    modality: Modality
    patient_key: str
    group: str
    study_key: str | None = None
    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    split: str | None = None
    label: str | None = None
    reviewed: bool = False
    excluded: str | None = None
    spacing_rows: float | None = None
    spacing_cols: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_plain_name(self.image_id):
            shown = self.image_id.encode("utf-8", "backslashreplace").decode()
            raise StudiesError(f"an image id must be a plain file stem; got '{shown}'; rename the file")
        path = PurePosixPath(self.file)
        if not self.file or path.is_absolute() or ".." in path.parts:
            raise StudiesError(
                f"an image's file must be a path below its studies folder; got '{self.file}'; copy it there"
            )
        if self.split is not None and self.split not in SPLITS:
            raise StudiesError(f"split must be one of {', '.join(SPLITS)} or None; got '{self.split}'")
        if self.label is not None and self.label not in _LABELS:
            raise StudiesError(f"label must be one of {', '.join(_LABELS)} or None; got '{self.label}'")

    @property
    def spacing(self) -> tuple[float, float] | None:
        """(between rows, between columns) in mm; None unless both are known."""
        if self.spacing_rows is None or self.spacing_cols is None:
            return None
        return self.spacing_rows, self.spacing_cols


_FIELDS = tuple(f.name for f in fields(ImageRecord))


def record_columns() -> list[Column[Any]]:
    """The columns of the images' table that a record is made of, in the order of its fields."""
    return [images_table.c[name] for name in _FIELDS]


def row_from_record(record: ImageRecord) -> dict[str, Any]:
    """The record as the table stores it: enums by their value."""
    return {f.name: _plain(getattr(record, f.name)) for f in fields(record)}


def record_from_row(row: Sequence[Any]) -> ImageRecord:
    """The values of `record_columns` as a record: as their enums where there are any."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["modality"] = Modality(values["modality"])
    values["laterality"] = Laterality(values["laterality"]) if values["laterality"] else None
    values["view_position"] = ViewPosition(values["view_position"]) if values["view_position"] else None
    return ImageRecord(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Modality | Laterality | ViewPosition):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value
