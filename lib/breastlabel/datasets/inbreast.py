"""INbreast: 410 digital mammograms of 115 examinations, with every lesion outlined and BI-RADS by image.

Moreira et al., "INbreast: toward a full-field digital mammographic database", Academic Radiology 19 (2012)
236.

This reader has met only a synthetic tree of that layout, not the real files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from breastlabel.datasets.osirix_regions import OsirixRegion, paint_osirix_region, read_osirix_regions
from breastlabel.datasets.source import Painter, SourceImage, SourceListing, paint_outlines
from breastlabel.datasets.source_files import find_table, image_files, number_of, rows_by, table_rows
from breastlabel.errors import InvalidLabelError
from breastlabel.imaging import (
    Density,
    LabelArray,
    Laterality,
    LesionClass,
    Modality,
    ViewPosition,
    image_stem,
)

__all__ = ["list_inbreast"]

_NAME = re.compile(
    r"(?P<file>\d+)_(?P<patient>[0-9a-f]+)_MG_(?P<side>[RL])_(?P<view>[A-Z]+)(?:_ANON)?", re.IGNORECASE
)
_COLUMNS = ("file name", "laterality", "view", "bi-rads")
_BIRADS = re.compile(r"([0-6])\s*([abc]?)", re.IGNORECASE)
_CLASSES = {
    1: LesionClass.NORMAL,
    2: LesionClass.BENIGN,
    3: LesionClass.BENIGN,
    4: LesionClass.MALIGNANT,
    5: LesionClass.MALIGNANT,
    6: LesionClass.MALIGNANT,
}
#: The names are as the readers typed them, with several spellings.
_TYPES = (
    (re.compile("calcif|cluster"), "calcification"),
    (re.compile("mass|spiculated"), "mass"),
    (re.compile("distortion"), "architectural distortion"),
    (re.compile("as+[iy]m+etry"), "asymmetry"),
)
_POINT = re.compile("calcifications|point ?[0-9]*|unnamed|")
#: Of a calcification that is marked by a point, in pixels: 0.28 mm at the 0.07 mm of these images.
_RADIUS = 4
#: How far beyond the image, in pixels, an outline may reach; further, it is of an image of another size.
_BEYOND = 10


class _Named(NamedTuple):
    """What an image's file name says."""

    file: str
    patient: str
    side: Laterality
    view: ViewPosition | None


def list_inbreast(source: Path) -> SourceListing:
    """The images of INbreast: ``AllDICOMs/20586908_<patient>_MG_R_ML_ANON.dcm`` and ``INbreast.csv``.

    The table (semicolons; or .xlsx) has the columns ``Patient ID; Patient age; Laterality; View; Acquisition
    date; File Name; ACR; Bi-Rads``. ``AllXML/20586908.xml`` holds the outlines; images of BI-RADS 1 have
    none.

    - ``ML`` in a file name means MLO; the table says so.
    - There is no pathology by image. The class is told by BI-RADS: 1 normal, 2 and 3 benign, 4 to 6
      malignant, as most papers do with this dataset; with 0, no class. Of 56 biopsies 11 were benign (Moreira
      et al.), so that some that are called malignant here are not. ``birads`` in the metadata allows another
      rule.
    - Outlines are filled; a calcification that is marked by one point becomes a disc of 4 pixels' radius. All
      are painted with the class of the image, with one exception: in a malignant image with any other
      lesion, calcifications that are marked one by one are painted benign, since most breasts have harmless
      ones, and clusters are marked as such.
    - The pectoral muscle is no lesion and is not painted. An image that is not normal, but whose outlines are
      missing or damaged, has a class but no label map, and so has a normal one with outlines.
    - Patients are told by the file names; the table has them removed. The date is a month: its first day is
      kept. Images of one woman and month are one exam. ACR density 1 to 4 is A to D.

    Args:
        source: the folder that holds all this, at any depth.

    Raises:
        StudiesError: the table is missing, or cannot be read.
    """
    table = find_table(
        source, "inbreast", dataset="INbreast", table="INbreast.csv (INbreast.xls saved as .csv or .xlsx)"
    )
    rows, skipped = rows_by("file name", (_plain(row) for row in table_rows(table, _COLUMNS)))
    twice = {name for name, _ in skipped}
    outlines = _outlines(source)
    images: list[SourceImage] = []
    seen: set[str] = set()
    for file in image_files(source):
        named = _parse(image_stem(file))
        if named is None:
            skipped.append((file.name, "its name is none of INbreast's"))
        elif named.file in seen:
            skipped.append((named.file, "another file is of the same image"))
        elif named.file not in twice:
            seen.add(named.file)
            row = rows.get(named.file)
            if reason := _unusable(named, row):
                skipped.append((named.file, reason))
            elif row is not None:
                regions, damage = _regions(outlines.get(named.file))
                if damage:
                    skipped.append((f"{named.file}.xml", f"no label map: {damage}"))
                images.append(_image(file, named, row, regions))
    missing = sorted(rows.keys() - seen)
    skipped += [(name, "listed in the table, but its image is missing") for name in missing]
    return SourceListing(images, skipped)


def _plain(row: Mapping[str, str]) -> dict[str, str]:
    """Spreadsheets give numbers as 20586908.0 or 20586908."""
    return {**row, "file name": row["file name"].removesuffix(".0")}


def _parse(stem: str) -> _Named | None:
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    return _Named(
        file=match["file"],
        patient=match["patient"].lower(),
        side=Laterality(match["side"].upper()),
        view=_view(match["view"]),
    )


def _view(text: str) -> ViewPosition | None:
    view = "MLO" if text.upper() == "ML" else text.upper()
    return ViewPosition(view) if view in set(ViewPosition) else None


def _unusable(named: _Named, row: Mapping[str, str] | None) -> str | None:
    if row is None:
        return "not listed in the table"
    if row["laterality"].upper() not in ("", named.side):
        return "its name and the table name two sides"
    return None if _BIRADS.fullmatch(row["bi-rads"]) else "its Bi-Rads is none of 0 to 6"


def _outlines(source: Path) -> dict[str, Path]:
    """The outlines' files by the image's number; those of the pectoral muscle lie in a folder of theirs."""
    return {
        file.stem: file
        for file in sorted(source.rglob("*"))
        if file.suffix.lower() == ".xml"
        and file.stem.isdigit()
        and not any("pectoral" in part.lower() for part in file.relative_to(source).parts)
    }


def _regions(file: Path | None) -> tuple[list[OsirixRegion] | None, str | None]:
    """An image's regions, None where they are not known; and why not, where a file is damaged."""
    if file is None:
        return [], None
    try:
        return [r for r in read_osirix_regions(file) if "pectoral" not in r.name.lower()], None
    except InvalidLabelError as error:
        return None, str(error)


def _image(
    file: Path, named: _Named, row: Mapping[str, str], regions: Sequence[OsirixRegion] | None
) -> SourceImage:
    match = _BIRADS.fullmatch(row["bi-rads"])
    assert match is not None
    label = _CLASSES.get(int(match[1]))
    patient = f"inbreast:{named.patient}"
    acquired = _month(row.get("acquisition date", ""))
    return SourceImage(
        image_id=f"inbreast-{named.file}",
        file=file,
        label=label,
        paint=_painter(label, regions),
        patient=patient,
        study=f"{patient}:{row.get('acquisition date', '')}",
        laterality=named.side,
        view_position=_view(row["view"]) or named.view,
        acquired=acquired,
        modality=Modality.MG,
        metadata=_metadata(row, int(match[1]), match[2].lower(), regions or ()),
    )


def _painter(label: LesionClass | None, regions: Sequence[OsirixRegion] | None) -> Painter | None:
    if label is None or regions is None or bool(regions) == (label is LesionClass.NORMAL):
        return None
    if label is LesionClass.NORMAL:
        return paint_outlines(label, [])
    single = [region for region in regions if _is_single(region)]
    others = [region for region in regions if not _is_single(region)]
    # Later layers lie on top.
    layers = ((LesionClass.BENIGN if others else label, single), (label, others))

    columns, rows = np.max([point for region in regions for point in region.points], axis=0)

    def paint(shape: tuple[int, int]) -> LabelArray:
        if rows > shape[0] + _BEYOND or columns > shape[1] + _BEYOND:
            raise InvalidLabelError(
                f"an image in its full size is required; its outlines reach row {rows:.0f} and column "
                f"{columns:.0f}, and it is {shape[0]} x {shape[1]} (rows x cols); give the DICOM file"
            )
        labels = np.zeros(shape, np.uint8)
        for value, layer in layers:
            mask = np.zeros(shape, np.uint8)
            for region in layer:
                paint_osirix_region(mask, region.points, radius=_RADIUS)
            labels[mask > 0] = value
        if label not in labels:
            raise InvalidLabelError("its outlines lie outside the image")
        return labels

    return paint


def _is_single(region: OsirixRegion) -> bool:
    """Whether it is one calcification; a nameless point is one, an outline of several is a cluster."""
    name = region.name.lower()
    return name == "calcification" or (len(region.points) <= 2 and bool(_POINT.fullmatch(name)))


def _metadata(
    row: Mapping[str, str], birads: int, letter: str, regions: Sequence[OsirixRegion]
) -> dict[str, Any]:
    known: dict[str, Any] = {"birads": birads}
    if letter:
        known["birads_category"] = f"{birads}{letter}"
    if (density := number_of(row.get("acr", ""))) in (1, 2, 3, 4):
        known["density"] = list(Density)[int(density or 1) - 1].value
    if (age := number_of(row.get("patient age", ""))) is not None:
        known["age"] = age
    names = [region.name.lower() for region in regions]
    if types := {kind for pattern, kind in _TYPES for name in names if pattern.search(name)}:
        known["type"] = ", ".join(sorted(types))
    return known


def _month(text: str) -> date | None:
    """The first day of a month such as 201001."""
    match = re.fullmatch(r"(\d{4})(0[1-9]|1[0-2])(?:\.0)?", text)
    return date(int(match[1]), int(match[2]), 1) if match and int(match[1]) > 1900 else None
