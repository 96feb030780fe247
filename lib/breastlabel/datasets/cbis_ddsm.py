"""CBIS-DDSM: 3,032 digitised films of 1,566 women with masses or calcifications, outlined, with pathology.

Lee et al., "A curated mammography data set for use in computer-aided detection and diagnosis research",
Scientific Data 4 (2017) 170177; The Cancer Imaging Archive, DOI 10.7937/K9/TCIA.2016.7O02S9CY.

The four description tables and a resized sample (one woman, two PNG images and masks) are real; the DICOM
layout and Kaggle's JPEG copy were met only as synthetic trees.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from breastlabel.datasets.cbis_ddsm_masks import Abnormality, paint_abnormalities
from breastlabel.datasets.source import SourceImage, SourceListing, read_table
from breastlabel.errors import StudiesError
from breastlabel.imaging import (
    IMAGE_SUFFIXES,
    Density,
    Laterality,
    LesionClass,
    Modality,
    ViewPosition,
    image_stem,
)

__all__ = ["list_cbis_ddsm"]

_TABLE = re.compile(r"(mass|calc)_case_description_(train|test)_set\.csv", re.IGNORECASE)
_NAME = re.compile(
    r"(?P<kind>mass|calc)-(?P<part>training|test)_(?P<patient>P_\d+)_(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)"
    r"(?:_(?P<number>\d+))?(?:_(?P<what>FULL|MASK))?(?:_\d+-\d+)?",
    re.IGNORECASE,
)
_COLUMNS = ("patient_id", "left or right breast", "image view", "abnormality id", "pathology")
_CLASSES = {
    "MALIGNANT": LesionClass.MALIGNANT,
    "BENIGN": LesionClass.BENIGN,
    "BENIGN_WITHOUT_CALLBACK": LesionClass.BENIGN,
}
_SIDES = {"LEFT": Laterality.L, "RIGHT": Laterality.R}
_DESCRIPTORS = (
    "abnormality id",
    "abnormality type",
    "pathology",
    "assessment",
    "subtlety",
    "mass shape",
    "mass margins",
    "calc type",
    "calc distribution",
)
_TYPES = {"mass": "mass", "calcification": "calcification"}


class _Key(NamedTuple):
    """One film: all tables' rows of it describe the same image."""

    patient: str
    side: str
    view: str


@dataclass(frozen=True)
class _Row:
    kind: str
    part: str
    cells: Mapping[str, str]


class _Files:
    """The files of the dataset, by what their names, or those of their folders, say.

    Attributes:
        films: whole images.
        masks: (film, mass or calc, abnormality) -> its mask and crop; "" is that of the whole film.
        folders: files by the name of their folder, for copies that keep the series' UIDs only.
    """

    def __init__(self, source: Path) -> None:
        self.films: dict[_Key, list[Path]] = defaultdict(list)
        self.masks: dict[tuple[_Key, str, str], list[Path]] = defaultdict(list)
        self.folders: dict[str, list[Path]] = defaultdict(list)
        for file in sorted(source.rglob("*")):
            if not file.name.lower().endswith(IMAGE_SUFFIXES) or not file.is_file():
                continue
            self.folders[file.parent.name].append(file)
            parts = (image_stem(file), *reversed(file.relative_to(source).parts[:-1]))
            name = next((m for part in parts if (m := _NAME.fullmatch(part))), None)
            if name is None:
                continue
            key = _Key(name["patient"].upper(), name["side"].upper(), name["view"].upper())
            if name["number"] or (name["what"] or "").upper() == "MASK":
                self.masks[key, name["kind"].lower(), name["number"] or ""].append(file)
            else:
                self.films[key].append(file)

    def film(self, key: _Key, rows: Sequence[_Row]) -> Path | None:
        named = [f for row in rows for f in self._of_series(row, "image file path")]
        return next(iter((*self.films.get(key, ()), *named)), None)

    def mask(self, key: _Key, row: _Row) -> list[Path]:
        """Files one of which is the mask; the folders hold the crop beside it, under either name."""
        number = row.cells["abnormality id"]
        found = self.masks.get((key, row.kind, number)) or self.masks.get((key, row.kind, ""), [])
        series = ("roi mask file path", "cropped image file path")
        return found or list(dict.fromkeys(f for column in series for f in self._of_series(row, column)))

    def _of_series(self, row: _Row, column: str) -> list[Path]:
        parts = row.cells.get(column, "").strip('"').strip().split("/")
        return self.folders.get(parts[-2], []) if len(parts) > 1 else []


def list_cbis_ddsm(source: Path) -> SourceListing:
    """The films of CBIS-DDSM, with the union of their abnormalities, each in its own class.

    ``mass_case_description_train_set.csv`` and its three siblings may lie anywhere, with or without their
    path columns. Files in DICOM, PNG or JPEG are found by their own names or those of the folders they lie
    in: ``Mass-Training_P_00001_LEFT_CC`` is a film, ``Mass-Training_P_00001_LEFT_CC_1`` mask and crop of its
    abnormality 1; or ``..._FULL`` and ``..._MASK``; or by the series' UID, which the path columns name.

    - A film that the tables for masses and for calcifications both describe is one image.
    - Mask and crop are told apart by their pixels, because the tables confuse them for many cases.
    - A film for which a mask is missing has a class but no label map. A mask of another size is brought to
      the film's if both have the same shape; else the film is skipped (`cbis_ddsm_masks`).
    - The official test set is kept as split ``test``. 31 women are on both sides of it, with masses on one
      and calcifications on the other; all their films are in ``test`` here. ``partition`` among the metadata
      is the official side of the film, for those who want exactly that set.
    - Both breasts of a woman are one exam. Density 1 to 4 is A to D; a benign finding that needed no
      callback is benign.

    Args:
        source: the folder that holds all this.

    Raises:
        StudiesError: none of the tables is there.
    """
    rows = _rows(source)
    files = _Files(source)
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    missing = 0
    for key, of_film in sorted(rows.items()):
        labels = [_CLASSES.get(row.cells["pathology"].upper()) for row in of_film]
        film = files.film(key, of_film)
        if film is None:
            missing += 1
        elif None in labels:
            reason = "a pathology is none of MALIGNANT, BENIGN, BENIGN_WITHOUT_CALLBACK"
            skipped.append(("_".join(key), reason))
        else:
            images.append(_image(key, film, of_film, [c for c in labels if c is not None], files))
    unlisted = sorted(files.films.keys() - rows.keys())
    skipped += [("_".join(key), "not listed in the tables") for key in unlisted]
    if missing:
        skipped.append(("tables", f"the images of {missing} of {len(rows)} listed films are missing"))
    return SourceListing(images, skipped)


def _rows(source: Path) -> dict[_Key, list[_Row]]:
    if not source.is_dir():
        raise StudiesError(
            f"a folder with CBIS-DDSM is required; there is none at '{source}'; check the path"
        )
    tables = sorted((file, m) for file in source.rglob("*.csv") if (m := _TABLE.fullmatch(file.name)))
    if not tables:
        raise StudiesError(
            "CBIS-DDSM's tables, such as mass_case_description_train_set.csv, are required; found none in "
            f"'{source}'; give the folder that holds them and the images"
        )
    rows: dict[_Key, list[_Row]] = defaultdict(list)
    for file, match in tables:
        for cells in read_table(file, _COLUMNS):
            key = _Key(*(cells[c].upper() for c in ("patient_id", "left or right breast", "image view")))
            if key.side in _SIDES and key.view in set(ViewPosition):
                rows[key].append(_Row(match[1].lower(), match[2].lower(), cells))
    return rows


def _image(
    key: _Key, film: Path, rows: Sequence[_Row], labels: Sequence[LesionClass], files: _Files
) -> SourceImage:
    found = [files.mask(key, row) for row in rows]
    abnormalities = [Abnormality(label, tuple(f)) for label, f in zip(labels, found, strict=True)]
    # One mask for several abnormalities of different classes does not tell which is which.
    unclear = any(a.files == b.files and a.label != b.label for a in abnormalities for b in abnormalities)
    patient = f"cbis-ddsm:{key.patient}"
    return SourceImage(
        image_id=f"cbis-ddsm-{'_'.join(key)}",
        file=film,
        label=max(labels),
        paint=None if unclear or not all(found) else paint_abnormalities(abnormalities),
        patient_key=patient,
        study_key=patient,
        laterality=_SIDES[key.side],
        view_position=ViewPosition(key.view),
        modality=Modality.MG,
        split="test" if any(row.part == "test" for row in rows) else "train",
        metadata=_metadata([row.cells for row in rows]),
    )


def _metadata(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    lesions = [{name: row[name] for name in _DESCRIPTORS if row.get(name)} for row in rows]
    known: dict[str, Any] = {"lesions": lesions}
    densities = {row.get("breast_density") or row.get("breast density", "") for row in rows} & set("1234")
    if len(densities) == 1:
        known["density"] = list(Density)[int(densities.pop()) - 1].value
    if birads := [int(row["assessment"]) for row in rows if row.get("assessment", "").isdigit()]:
        known["birads"] = max(birads)
    if ages := [row["patient_age"] for row in rows if row.get("patient_age", "").isdigit()]:
        known["age"] = float(ages[0])
    if types := {_TYPES.get(row.get("abnormality type", "").lower()) for row in rows} - {None}:
        known["type"] = ", ".join(sorted(str(name) for name in types))
    return known
