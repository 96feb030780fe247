"""What every importer gives: the images of a dataset as its authors distribute it, not yet read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.errors import InvalidLabelError, StudiesError
from breastlabel.imaging import (
    LabelArray,
    Laterality,
    LesionClass,
    Modality,
    ViewPosition,
    binary_mask,
)

__all__ = [
    "Painter",
    "SourceImage",
    "SourceListing",
    "paint_outlines",
    "read_table",
    "require_folder",
    "why_unusable",
]

#: Gives the label map (rows, cols) of an image of that shape; raises InvalidLabelError where there is none.
Painter = Callable[[tuple[int, int]], LabelArray]


@dataclass(frozen=True)
class SourceImage:
    """One image of a dataset.

    Attributes:
        image_id: the id it gets in the studies folder.
        file: where it lies in the dataset.
        label: class by the dataset; None where only the mask knows, or nobody.
        paint: draws its label map; None where there is none (the image is then not reviewed).
        patient_key: None where the dataset does not tell patients apart.
        patient: the patient's identifier where it may be a real one; only an opaque key of it is kept.
        study_key: images of one key are one exam; None where only the file's header may tell.
        study: the study's name where it may be a real one; only an opaque key of it is kept.
        laterality: the breast, as the dataset says; as None.
        view_position: as ``laterality``.
        acquired: as ``laterality``.
        modality: what to read the file as; None takes the file's own.
        spacing: (between rows, between columns) in mm where the authors state it and the file does not.
        split: ``"train"``, ``"val"`` or ``"test"`` where the dataset has a partition of its own.
        metadata: plain JSON values.
    """

    image_id: str
    file: Path
    label: LesionClass | None
    paint: Painter | None
    patient_key: str | None = None
    patient: str | None = field(default=None, repr=False)
    study_key: str | None = None
    study: str | None = field(default=None, repr=False)
    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    acquired: date | None = None
    modality: Modality | None = None
    spacing: tuple[float, float] | None = None
    split: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceListing:
    """The images of a dataset, and the files that are not used, each with the reason."""

    images: Sequence[SourceImage]
    skipped: Sequence[tuple[str, str]] = ()


def paint_outlines(label: LesionClass, masks: Sequence[Path]) -> Painter:
    """A painter that paints the union of outline masks of any mode with the value of the class.

    It refuses (InvalidLabelError) a mask of another size than the image, a lesion without an outline,
    and an outline on a normal image.
    """

    def paint(shape: tuple[int, int]) -> LabelArray:
        union = np.zeros(shape, dtype=bool)
        for mask in masks:
            union |= binary_mask(mask, shape=shape)
        if label is not LesionClass.NORMAL and not union.any():
            raise InvalidLabelError(f"the class is {label.label}, but no lesion is outlined")
        if label is LesionClass.NORMAL and union.any():
            raise InvalidLabelError("the class is normal, but a lesion is outlined")
        return np.asarray(union * np.uint8(label), np.uint8)

    return paint


def why_unusable(label: LesionClass | None, file: Path, mask: Path, *, unknown_class: str) -> str | None:
    """Why an image that a table lists cannot be used; None where it can.

    Args:
        label: its class by the table; None where the table says none that is known.
        unknown_class: the reason then.
    """
    if label is None:
        return unknown_class
    if not file.is_file():
        return "listed in the table, but its image is missing"
    return None if mask.is_file() else "its mask is missing"


def require_folder(*candidates: Path, what: str) -> Path:
    """The first candidate that is a folder.

    Raises:
        StudiesError: none is; the message says what was looked for.
    """
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise StudiesError(f"{what}; found none at '{candidates[0]}'; give the folder that holds it")


def read_table(path: Path, columns: Sequence[str], *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Rows of a CSV file by lower-case column name, without byte order mark and surrounding blanks.

    Raises:
        StudiesError: the file is missing, is not text, or lacks one of `columns` (lower case).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
        found = [(name or "").strip().lower() for name in reader.fieldnames or []]
        rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise StudiesError(f"a readable table {path.name} is required ({type(error).__name__})") from error
    except csv.Error as error:
        raise StudiesError(
            f"a readable table {path.name} is required; {error}; check that every quote in it is closed"
        ) from error
    missing = [name for name in columns if name not in found]
    if missing:
        raise StudiesError(
            f"{path.name} must have the columns {', '.join(columns)}; it lacks {', '.join(missing)}; "
            "check the file and its separator"
        )
    for row in rows:
        yield {
            (k or "").strip().lower(): (v or "").strip() for k, v in row.items() if not isinstance(v, list)
        }
