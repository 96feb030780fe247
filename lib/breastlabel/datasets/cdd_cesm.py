"""CDD-CESM: contrast-enhanced spectral mammography of 326 women, 1,003 low-energy and 1,003 subtracted.

Khaled et al., "Categorized contrast enhanced mammography dataset for diagnostic and artificial intelligence
research", Scientific Data 9 (2022) 122; The Cancer Imaging Archive, DOI 10.7937/29kw-ae92.

The archive's own layout is read by its published file and column names and was met only as a synthetic tree;
the resized sample (512 x 512, with masks by colour) was met with 24 real images.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from breastlabel.datasets.source import Painter, SourceImage, SourceListing, paint_outlines, read_table
from breastlabel.datasets.spreadsheet import read_spreadsheet
from breastlabel.datasets.via_regions import paint_region, read_region
from breastlabel.errors import InvalidLabelError, StudiesError
from breastlabel.imaging import LabelArray, Laterality, LesionClass, Modality, ViewPosition

__all__ = ["list_cdd_cesm"]

_NAME = re.compile(r"(?:(?P<copy>.+)_)?P(?P<patient>\d+)_(?P<side>[RL])_(?P<kind>DM|CM)_(?P<view>CC|MLO)\d*")
_SUFFIXES = (".jpg", ".jpeg", ".png")
_PATHOLOGY = "pathology classification/ follow up"
_COLUMNS = ("image_name", _PATHOLOGY)
_CLASSES = {c.label: c for c in LesionClass}
_TYPES = (
    (re.compile("calcif"), "calcification"),
    (re.compile("distort"), "architectural distortion"),
    (re.compile("asymm"), "asymmetry"),
    (re.compile(r"(?<!non )(?<!non-)mass"), "mass"),
)
SUBTRACTED = "subtracted contrast image"


@dataclass(frozen=True)
class _Named:
    """What an image's file name says."""

    stem: str
    patient: str
    side: Laterality
    view: ViewPosition
    subtracted: bool
    copy: str | None


def list_cdd_cesm(source: Path) -> SourceListing:
    """The images of CDD-CESM, ``P1_L_DM_MLO.jpg`` (low energy) and ``P1_L_CM_MLO.jpg`` (subtracted).

    Two layouts are known:

    - The archive's: images in any subfolder, ``Radiology-manual-annotations.xlsx`` (or the same as .csv) with
      the columns of its sheet ``all``, and ``Radiology_hand_drawn_segmentations_v2.csv`` with regions as VIA
      writes them. The regions have no class of their own; they are painted with the image's. An image whose
      class is normal but which has regions (scars, post-operative changes) gets no label map, nor does one
      with a lesion that nobody drew.
    - A resized sample: folders ``images`` and ``masks``, green for benign and red for malignant, each image
      also as copies with a prefix (``flipped_``: upside down; the side stays).

    Subtracted images show the uptake of contrast and are no mammograms: they are kept as not analysable.
    Both breasts of a woman are one exam. A copy is of the same woman, so that no split parts it from its
    original, but of an exam of its own, so that no breast is shown twice.

    Args:
        source: the folder that holds one of the two, at any depth.

    Raises:
        StudiesError: neither is found.
    """
    if not source.is_dir():
        raise StudiesError(f"a folder with CDD-CESM is required; there is none at '{source}'; check the path")
    samples = [masks.parent for masks in sorted(source.rglob("masks")) if (masks.parent / "images").is_dir()]
    if samples:
        return _sample(samples)
    return _archive(source)


def _sample(folders: Sequence[Path]) -> SourceListing:
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    for folder in folders:
        for file in _files(folder / "images"):
            named = _parse(file.stem)
            mask = folder / "masks" / f"{file.stem}.png"
            if named is None:
                skipped.append((file.name, "its name is none of CDD-CESM's"))
            elif not mask.is_file():
                skipped.append((file.name, "its mask is missing"))
            else:
                images.append(_image(file, named, None, _by_colour(mask), {}))
    return SourceListing(images, skipped)


def _archive(source: Path) -> SourceListing:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _table(source):
        rows[_plain(row["image_name"])].append(row)
    regions, skipped = _regions(source)
    images: list[SourceImage] = []
    there = {_plain(file.stem): file for file in _files(source) if _parse(_plain(file.stem))}
    for stem, file in sorted(there.items()):
        named, listed = _parse(stem), rows.pop(stem, [])
        assert named is not None
        known = [_CLASSES.get(row[_PATHOLOGY].lower()) for row in listed]
        label = max((c for c in known if c is not None), default=None)
        if label is None:
            reason = "its pathology is none of normal, benign, malignant" if listed else "not in the table"
            skipped.append((stem, reason))
        else:
            paint = _painter(label, regions.get(stem, []))
            images.append(_image(file, named, label, paint, _metadata(listed)))
    skipped += [(name, "listed in the table, but its image is missing") for name in sorted(rows) if name]
    return SourceListing(images, skipped)


def _image(
    file: Path, named: _Named, label: LesionClass | None, paint: Painter | None, metadata: Mapping[str, Any]
) -> SourceImage:
    patient = f"cdd-cesm:P{named.patient}"
    more: dict[str, Any] = {"not_analysable": SUBTRACTED} if named.subtracted else {}
    if named.copy:
        more["copy"] = named.copy
    return SourceImage(
        image_id=f"cdd-cesm-{named.stem}",
        file=file,
        label=label,
        paint=paint,
        patient_key=patient,
        study_key=f"{patient}:{named.copy}" if named.copy else patient,
        laterality=named.side,
        view_position=named.view,
        modality=Modality.MG,
        metadata={**metadata, **more},
    )


def _table(source: Path) -> Iterator[dict[str, str]]:
    found = sorted(
        f
        for f in source.rglob("*")
        if re.fullmatch(r"radiology.manual.annotations\.(xlsx|csv)", f.name.lower()) and f.is_file()
    )
    if not found:
        raise StudiesError(
            "CDD-CESM's table Radiology-manual-annotations.xlsx, or folders images and masks, are required; "
            f"found none in '{source}'; give the folder that holds them"
        )
    if found[0].suffix.lower() == ".csv":
        return read_table(found[0], _COLUMNS)
    return read_spreadsheet(found[0], _COLUMNS, sheet="all")


def _regions(source: Path) -> tuple[dict[str, list[Mapping[str, Any]]], list[tuple[str, str]]]:
    regions: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    skipped = []
    tables = sorted(source.rglob("Radiology_hand_drawn_segmentations*.csv"))
    for row in read_table(tables[-1], ("#filename", "region_shape_attributes")) if tables else ():
        # Some names have a blank before the suffix.
        stem = _plain(Path(row["#filename"]).stem)
        try:
            region = read_region(row["region_shape_attributes"])
        except InvalidLabelError as error:
            skipped.append((stem, str(error)))
            # Kept, so that the image does not get a map that lacks this region.
            region = {"name": "damaged region"}
        if region is not None:
            regions[stem].append(region)
    return regions, skipped


def _painter(label: LesionClass, regions: Sequence[Mapping[str, Any]]) -> Painter | None:
    if label is LesionClass.NORMAL:
        return None if regions else paint_outlines(label, [])
    shapes = {region.get("name") for region in regions}
    if not regions or not shapes <= {"polygon", "polyline", "circle", "ellipse", "rect"}:
        return None

    def paint(shape: tuple[int, int]) -> LabelArray:
        mask = np.zeros(shape, np.uint8)
        for region in regions:
            paint_region(mask, region)
        if not mask.any():
            raise InvalidLabelError("all its regions lie outside the image")
        return np.asarray(mask * np.uint8(label), np.uint8)

    return paint


def _by_colour(mask: Path) -> Painter:
    def paint(shape: tuple[int, int]) -> LabelArray:
        try:
            with Image.open(mask) as opened:
                colours = np.asarray(opened.convert("RGB"), np.int16)
        except OSError as error:
            raise InvalidLabelError(f"a readable mask is required; {mask.name} is damaged") from error
        if colours.shape[:2] != shape:
            raise InvalidLabelError(
                f"a mask of {shape[0]} x {shape[1]} (rows x cols, as the image) is required; {mask.name} is "
                f"{colours.shape[0]} x {colours.shape[1]}"
            )
        red, green = colours[:, :, 0], colours[:, :, 1]
        labels = np.zeros(shape, np.uint8)
        # Green masks were JPEG once: faint colours surround them.
        labels[(green > 127) & (green > red)] = LesionClass.BENIGN
        labels[(red > 127) & (red > green)] = LesionClass.MALIGNANT
        if not labels.any():
            raise InvalidLabelError(f"a lesion in red or green is required; {mask.name} shows none")
        return labels

    return paint


def _metadata(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the table says of an image; a cell holds several findings with ``$`` between them."""
    known: dict[str, Any] = {}
    if ages := [row["age"] for row in rows if re.fullmatch(r"\d+(\.\d+)?", row.get("age", ""))]:
        known["age"] = float(ages[0])
    density = [row.get("breast density (acr)", "").upper() for row in rows]
    if letters := [d for d in density if d in ("A", "B", "C", "D")]:
        known["density"] = letters[0]
    birads = [int(part) for row in rows for part in re.findall(r"[0-6]", row.get("birads", ""))]
    if birads:
        known["birads"] = max(birads)
    findings = "$".join(f"{row.get('findings', '')}${row.get('tags', '')}" for row in rows).lower()
    if types := [name for pattern, name in _TYPES if pattern.search(findings)]:
        known["type"] = ", ".join(sorted(types))
    if machines := [row["machine"] for row in rows if row.get("machine", "") not in ("", "_")]:
        known["machine"] = machines[0]
    return known


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file())


def _parse(stem: str) -> _Named | None:
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    return _Named(
        stem=stem,
        patient=match["patient"],
        side=Laterality(match["side"]),
        view=ViewPosition(match["view"]),
        subtracted=match["kind"] == "CM",
        copy=match["copy"],
    )


def _plain(name: str) -> str:
    """A name without the blanks, and the suffix, that some of the tables' names have."""
    return re.sub(r"\.jpe?g$", "", name.strip(), flags=re.IGNORECASE).strip()
