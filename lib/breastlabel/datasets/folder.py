"""A site's own folder of images, with label maps and a table where it has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.datasets.invasiveness import INVASIVE
from breastlabel.datasets.source import (
    Painter,
    SourceImage,
    SourceListing,
    paint_outlines,
    read_table,
)
from breastlabel.errors import InvalidLabelError, StudiesError
from breastlabel.imaging import (
    IMAGE_SUFFIXES,
    LabelArray,
    Laterality,
    LesionClass,
    Modality,
    ViewPosition,
    image_stem,
    read_mask,
)
from breastlabel.imaging.view_names import side_and_view

__all__ = ["list_folder"]

_LABEL_FOLDERS = ("labels/final", "labels", "masks")
_VOCABULARIES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("modality", "modality", {m.value: m for m in Modality}),
    ("side", "laterality", {s.value: s for s in Laterality}),
    ("view", "view_position", {v.value: v for v in ViewPosition}),
)
_YES_NO = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}
_CLASSES = {c.label: c for c in LesionClass} | {str(int(c)): c for c in LesionClass}


def list_folder(source: Path) -> SourceListing:
    """Images of a folder, or of its ``images`` subfolder, each with what is known about it.

    - A label map: a file of the same name in ``labels/`` or ``masks/``, or ``<name>_mask`` beside it. Values
      0, 1, 2 are nothing, benign, malignant. An outline mask (one colour on black) needs the image's
      class, with which it is painted.
    - A table: the only ``.csv`` of the folder, with the column ``image`` (file name, with or without suffix)
      and, each optional, ``patient``, ``class`` (normal, benign, malignant, or 0, 1, 2), ``modality`` (MG or
      US), ``side`` (R or L), ``view`` (CC, MLO, ...), ``study``, ``date`` (YYYY-MM-DD) and, of a cancer,
      ``invasive`` (yes or no); case does not matter. Where the table names no patient, a DICOM header does;
      else an image is a patient of its own.
    - A file name that says side and view, such as ``7_R_MLO.png`` (`side_and_view`): a mammogram.

    Raises:
        StudiesError: no such folder, no images in it, or a table that cannot be used.
    """
    if not source.is_dir():
        raise StudiesError(f"a folder of images is required; there is none at '{source}'; check the path")
    files = _images(source) or _images(source / "images")
    if not files:
        raise StudiesError(
            f"a folder with images ({', '.join(IMAGE_SUFFIXES)}) is required; found none in '{source}'; "
            "give the folder that holds them"
        )
    table = _table(source)
    skipped = [(file.name, "another image has the same name") for file in _namesakes(source)]
    images: list[SourceImage] = []
    for stem, file in sorted(files.items()):
        row = table.pop(stem, {})
        text = row.get("class", "")
        label = _CLASSES.get(text.lower())
        if text and label is None:
            skipped.append((file.name, f"class must be normal, benign or malignant; the table says '{text}'"))
            continue
        told, reason = _told(row, stem)
        if reason is not None:
            skipped.append((file.name, reason))
            continue
        mask = _mask_of(source, file, stem)
        images.append(
            SourceImage(
                image_id=stem,
                file=file,
                label=label,
                paint=_painter(mask, label),
                patient=row.get("patient") or None,
                **told,
            )
        )
    skipped += [(name, "listed in the table, but its image is missing") for name in sorted(table)]
    return SourceListing(images, skipped)


def _told(row: Mapping[str, str], stem: str) -> tuple[dict[str, Any], str | None]:
    """What the table, or else the file's name, says of a mammogram; and why the row cannot be used."""
    named = side_and_view(stem)
    told: dict[str, Any] = {}
    if named is not None:
        told = {"modality": Modality.MG, "laterality": named[0], "view_position": named[1]}
    for column, field, known in _VOCABULARIES:
        if text := row.get(column, ""):
            value = known.get(text.upper())
            if value is None:
                return {}, f"{column} must be one of {', '.join(known)}; the table says '{text}'"
            told[field] = value
    if text := row.get("date", ""):
        try:
            told["acquired"] = date.fromisoformat(text)
        except ValueError:
            return {}, f"date must be YYYY-MM-DD; the table says '{text}'"
    if text := row.get("invasive", ""):
        if text.lower() not in _YES_NO:
            return {}, f"invasive must be yes or no; the table says '{text}'"
        told["metadata"] = {INVASIVE: _YES_NO[text.lower()]}
    if row.get("study"):
        # Studies are numbered from 1 for each patient at many a site.
        told["study"] = f"{row.get('patient', '')}/{row['study']}"
    return told, None


def _images(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _image_files(folder):
        stem = image_stem(file)
        if not stem.lower().endswith("_mask"):
            found.setdefault(stem, file)
    return found


def _namesakes(source: Path) -> list[Path]:
    folder = source if _images(source) else source / "images"
    taken = _images(folder)
    return [f for f in _image_files(folder) if taken.get(image_stem(f), f) != f]


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = sorted(os.listdir(folder))
    return [
        folder / n
        for n in names
        if not n.startswith(".") and n.lower().endswith(IMAGE_SUFFIXES) and (folder / n).is_file()
    ]


def _mask_of(source: Path, file: Path, stem: str) -> Path | None:
    beside = [file.parent / f"{stem}_mask{suffix}" for suffix in IMAGE_SUFFIXES]
    apart = [source / folder / f"{stem}{suffix}" for folder in _LABEL_FOLDERS for suffix in IMAGE_SUFFIXES]
    return next((path for path in (*apart, *beside) if path.is_file()), None)


def _painter(mask: Path | None, label: LesionClass | None) -> Painter | None:
    if mask is None:
        return paint_outlines(LesionClass.NORMAL, []) if label is LesionClass.NORMAL else None

    def paint(shape: tuple[int, int]) -> LabelArray:
        try:
            labels = read_mask(mask, shape=shape)
        except InvalidLabelError:
            # Not a label map: an outline mask, or one that `paint_outlines` refuses with the reason.
            if label is None:
                raise
            return paint_outlines(label, [mask])(shape)
        values = np.unique(labels[labels > 0])
        if label is None or (len(values) == 2 and label is not LesionClass.NORMAL):
            return labels
        if label is LesionClass.BENIGN and LesionClass.MALIGNANT in values:
            raise InvalidLabelError("the table says benign, the mask is malignant")
        # One value only: a 1-bit outline reads as value 1 whatever its class, so the table decides.
        return paint_outlines(label, [mask])(shape)

    return paint


def _table(source: Path) -> dict[str, dict[str, str]]:
    tables = sorted(source.glob("*.csv"))
    if not tables:
        return {}
    if len(tables) > 1:
        raise StudiesError(
            f"at most one table is required; found {', '.join(t.name for t in tables)}; "
            "leave one .csv in place"
        )
    return {image_stem(row["image"]): row for row in read_table(tables[0], ("image",)) if row["image"]}
