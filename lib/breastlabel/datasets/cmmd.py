"""CMMD: 5,202 digital mammograms of 1,775 women, whose lesions were confirmed by biopsy.

Cui et al., "The Chinese Mammography Database (CMMD): an online mammography database with biopsy confirmed
types for machine diagnosis of breast", The Cancer Imaging Archive (2021), DOI 10.7937/tcia.eqde-4b16; Cai et
al., "An online mammography database with biopsy confirmed types", Scientific Data 10 (2023) 123.

This reader has met only a synthetic tree of that layout, not the real files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from breastlabel.datasets.source import SourceImage, SourceListing
from breastlabel.datasets.source_files import find_table, image_files, number_of, table_rows
from breastlabel.errors import InvalidImageError, StudiesError
from breastlabel.imaging import Laterality, LesionClass, Modality, image_stem
from breastlabel.imaging.dicom import header_facts

__all__ = ["list_cmmd"]

_TABLE = r"cmmd_clinicaldata.*"
_COLUMNS = ("id1", "leftright", "classification")
_PATIENT = re.compile(r"D[12]-\d{4}", re.IGNORECASE)
_CLASSES = {"benign": LesionClass.BENIGN, "malignant": LesionClass.MALIGNANT}
_TYPES = {"calcification": "calcification", "mass": "mass", "both": "calcification, mass"}


class _Breast(NamedTuple):
    patient: str
    side: str


def list_cmmd(source: Path) -> SourceListing:
    """The images of CMMD as the archive lays them out, with ``CMMD_clinicaldata_revision.xlsx`` or .csv.

    Images lie at any depth below the folder of their patient: ``CMMD/D1-0001/<study>/<series>/1-1.dcm``. The
    table has a line a breast: ``ID1``, ``LeftRight``, ``Age``, ``number``, ``abnormality`` (calcification,
    mass, both), ``classification`` (Benign, Malignant) and, for part of the women, ``subtype``.

    - Which breast and which view an image shows is in its DICOM header only.
    - The class is that of the breast; where the table has two lines for one, the worse. There are no
      outlines, so no image has a label map.
    - The other breast of a woman, where the table does not list it, was not biopsied; that it is normal is
      likely, but nobody says so: its images have no class.
    - The archive's dates are not those of the examinations (all studies carry one of two days), so no date
      is kept. All images of a woman are one study.

    Args:
        source: the folder that holds table and images, at any depth.

    Raises:
        StudiesError: the table is missing, or cannot be read.
    """
    table = find_table(source, _TABLE, dataset="CMMD", table="CMMD_clinicaldata_revision.xlsx (or .csv)")
    breasts = _breasts(table)
    patients = {breast.patient for breast in breasts}
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    ids: Counter[str] = Counter()
    seen: set[_Breast] = set()
    for file in image_files(source):
        patient = _patient(file.relative_to(source))
        if patient is None or patient not in patients:
            reason = "no folder of a patient, such as D1-0001, holds it" if patient is None else _UNLISTED
            skipped.append((file.name if patient is None else f"{patient}/{file.name}", reason))
            continue
        side = _side(file)
        breast = _Breast(patient, side.value if side else "")
        seen.add(breast)
        rows = breasts.get(breast, [])
        labels = [_CLASSES.get(row["classification"].lower()) for row in rows]
        if rows and None in labels:
            skipped.append((f"{patient}/{file.name}", "its class is none of Benign, Malignant"))
            continue
        name = f"cmmd-{patient}-{image_stem(file)}"
        ids[name] += 1
        # Files are numbered from 1-1 in each series.
        image_id = name if ids[name] == 1 else f"{name}-{ids[name]}"
        images.append(_image(image_id, file, breast, rows, [label for label in labels if label is not None]))
    if missing := len(breasts.keys() - seen):
        skipped.append((table.name, f"the images of {missing} of {len(breasts)} listed breasts are missing"))
    return SourceListing(images, skipped)


_UNLISTED = "its patient is not listed in the table"


def _breasts(table: Path) -> dict[_Breast, list[Mapping[str, str]]]:
    breasts: dict[_Breast, list[Mapping[str, str]]] = defaultdict(list)
    for row in table_rows(table, _COLUMNS):
        side = row["leftright"][:1].upper()
        if _PATIENT.fullmatch(row["id1"]) and side in set(Laterality):
            breasts[_Breast(row["id1"].upper(), side)].append(row)
    if not breasts:
        raise StudiesError(
            f"lines with ID1 such as D1-0001 and LeftRight L or R are required; {table.name} has none; "
            "check the file"
        )
    return breasts


def _patient(path: Path) -> str | None:
    """The innermost folder that is named as a patient is."""
    return next((part.upper() for part in reversed(path.parts[:-1]) if _PATIENT.fullmatch(part)), None)


def _side(file: Path) -> Laterality | None:
    try:
        return header_facts(file).laterality
    except InvalidImageError:
        # Reading the image says what is wrong with it.
        return None


def _image(
    image_id: str,
    file: Path,
    breast: _Breast,
    rows: Sequence[Mapping[str, str]],
    labels: Sequence[LesionClass],
) -> SourceImage:
    return SourceImage(
        image_id=image_id,
        file=file,
        label=max(labels, default=None),
        paint=None,
        patient=f"cmmd:{breast.patient}",
        study=f"cmmd:{breast.patient}",
        modality=Modality.MG,
        metadata=_metadata(rows),
    )


def _metadata(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    # None stands against the header's date.
    known: dict[str, Any] = {"acquired": None}
    if ages := [age for row in rows if (age := number_of(row.get("age", ""))) is not None]:
        known["age"] = ages[0]
    kinds = {_TYPES.get(row.get("abnormality", "").lower(), "") for row in rows}
    if types := {kind for group in kinds for kind in group.split(", ")} - {""}:
        known["type"] = ", ".join(sorted(types))
    if subtypes := [row["subtype"] for row in rows if row.get("subtype")]:
        known["subtype"] = subtypes[0]
    return known
