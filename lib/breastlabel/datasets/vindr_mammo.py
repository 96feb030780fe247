"""VinDr-Mammo: 20,000 digital mammograms of 5,000 four-view exams, with BI-RADS and boxes around findings.

Nguyen et al., "VinDr-Mammo: a large-scale benchmark dataset for computer-aided diagnosis in full-field
digital mammography", Scientific Data 10 (2023) 277; PhysioNet, DOI 10.13026/br2v-7517. Which attributes the
headers still have is in the authors' repository vinbigdata-medical/vindr-mammo (tags.csv).

This reader has met only a synthetic tree of that layout, not the real files.
"""

from __future__ import annotations

import ast
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from breastlabel.datasets.source import SourceImage, SourceListing, paint_outlines, read_table
from breastlabel.datasets.source_files import by_stem, find_table, image_files, rows_by, table_rows
from breastlabel.errors import StudiesError
from breastlabel.imaging import Density, Laterality, LesionClass, Modality, ViewPosition

__all__ = ["list_vindr_mammo"]

_BREASTS, _FINDINGS, _METADATA = (
    "breast-level_annotations.csv",
    "finding_annotations.csv",
    "metadata.csv",
)
_COLUMNS = ("study_id", "image_id", "laterality", "view_position", "breast_birads", "breast_density", "split")
_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_FINDING_COLUMNS = ("image_id", "finding_categories", "finding_birads", *_CORNERS)
_CLASSES = {
    1: LesionClass.NORMAL,
    2: LesionClass.BENIGN,
    3: LesionClass.BENIGN,
    4: LesionClass.BENIGN,
    5: LesionClass.MALIGNANT,
    6: LesionClass.MALIGNANT,
}
_SPLITS = {"training": "train", "test": "test"}
_TYPES = {
    "mass": "mass",
    "suspicious calcification": "calcification",
    "architectural distortion": "architectural distortion",
    "asymmetry": "asymmetry",
    "focal asymmetry": "asymmetry",
    "global asymmetry": "asymmetry",
}
_NOTHING = "no finding"
#: Longer text is no list of findings, and would only keep the parser busy.
_LONGEST = 1000


class _Finding(NamedTuple):
    """One line of the findings' table; the box is (row0, col0, row1, col1), the end not included."""

    categories: tuple[str, ...]
    birads: int | None
    box: tuple[int, int, int, int]


def list_vindr_mammo(source: Path) -> SourceListing:
    """The images of VinDr-Mammo: ``images/<study_id>/<image_id>.dicom``, or copies of that name.

    ``breast-level_annotations.csv`` is required; ``finding_annotations.csv`` and ``metadata.csv`` are read
    where they are.

    - There is no pathology. The class is told by the breast's BI-RADS: 1 normal, 2 to 4 benign, 5 and 6
      malignant; with 0, or without one, no class. BI-RADS 4 stands for anything from 2 to 95 % of cancers,
      so that "benign" means "not highly suspicious" here; ``birads`` in the metadata allows another rule.
    - A box is no outline: no box is painted. Boxes are kept as ``boxes``, each (row0, col0, row1, col1) in
      pixels, with what was found in each as ``lesions``. Only an image of a normal breast without a box
      gets a label map, an empty one.
    - The authors removed whatever tells women apart: each exam stands for a woman of its own. There are no
      dates.
    - The official test set is kept.

    Args:
        source: the folder that holds tables and images, at any depth.

    Raises:
        StudiesError: the table of breasts is missing, or a table cannot be read.
    """
    table = find_table(source, "breast-level_annotations", dataset="VinDr-Mammo", table=_BREASTS)
    rows, skipped = rows_by("image_id", table_rows(table, _COLUMNS))
    twice = {name for name, _ in skipped}
    files, same = by_stem(image_files(source))
    findings, unreadable = _findings(table.with_name(_FINDINGS), rows)
    devices, missing = _devices(table.with_name(_METADATA))
    skipped += [*same, *unreadable, *missing]
    # Of these it is not known what was found in them.
    unclear = {name for name, _ in unreadable} if table.with_name(_FINDINGS).is_file() else set(rows)
    images: list[SourceImage] = []
    for image_id, row in sorted(rows.items()):
        file = files.pop(image_id, None)
        if file is not None:
            known = _metadata(row, findings.get(image_id, [])) | devices.get(image_id, {})
            images.append(_image(image_id, file, row, known, unclear=image_id in unclear))
    if left := len(rows) - len(images):
        skipped.append((table.name, f"{left} of {len(rows)} listed images are missing"))
    skipped += [(file.name, f"not listed in {_BREASTS}") for name, file in files.items() if name not in twice]
    return SourceListing(images, skipped)


def _image(
    image_id: str, file: Path, row: Mapping[str, str], metadata: Mapping[str, Any], *, unclear: bool
) -> SourceImage:
    birads = metadata.get("birads")
    label = _CLASSES.get(birads) if isinstance(birads, int) else None
    seen_normal = label is LesionClass.NORMAL and not metadata.get("boxes") and not unclear
    side, view = row["laterality"].upper(), row["view_position"].upper()
    # An image without a study is of a woman of its own.
    study = f"vindr-mammo:{row['study_id'] or f'image {image_id}'}"
    return SourceImage(
        image_id=f"vindr-mammo-{image_id}",
        file=file,
        label=label,
        paint=paint_outlines(LesionClass.NORMAL, []) if seen_normal else None,
        patient=study,
        study=study,
        laterality=Laterality(side) if side in set(Laterality) else None,
        view_position=ViewPosition(view) if view in set(ViewPosition) else None,
        modality=Modality.MG,
        split=_SPLITS.get(row["split"].lower()),
        metadata=metadata,
    )


def _metadata(row: Mapping[str, str], findings: Sequence[_Finding]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if (birads := _birads(row["breast_birads"])) is not None:
        known["birads"] = birads
    density = row["breast_density"].upper().removeprefix("DENSITY").strip()
    if density in set(Density):
        known["density"] = density
    if findings:
        known["boxes"] = [list(finding.box) for finding in findings]
        known["lesions"] = [
            {"findings": list(finding.categories), "birads": finding.birads} for finding in findings
        ]
    named = {category.lower() for finding in findings for category in finding.categories}
    if types := {_TYPES[name] for name in named if name in _TYPES}:
        known["type"] = ", ".join(sorted(types))
    return known


def _findings(
    table: Path, rows: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, list[_Finding]], list[tuple[str, str]]]:
    """The findings by image, and the images with a line that cannot be read."""
    if not table.is_file():
        return {}, [(table.name, "missing, so nothing is known of the findings and their places")]
    findings: dict[str, list[_Finding]] = defaultdict(list)
    unreadable = []
    for line in read_table(table, _FINDING_COLUMNS):
        image_id = line["image_id"]
        if image_id not in rows:
            continue
        try:
            found = _finding(line, rows[image_id])
        except ValueError as error:
            unreadable.append((image_id, f"a line of {table.name} cannot be used: {error}"))
            continue
        if found is not None:
            findings[image_id].append(found)
    return findings, unreadable


def _finding(line: Mapping[str, str], row: Mapping[str, str]) -> _Finding | None:
    """None where the line says that there is nothing.

    Raises:
        ValueError: the line is not as it should be; the message says in what.
    """
    categories = _categories(line["finding_categories"])
    corners = [line[name] for name in _CORNERS]
    if not any(corners) and all(name.lower() == _NOTHING for name in categories):
        return None
    try:
        row0, col0, row1, col1 = (float(corner) for corner in corners)
    except ValueError:
        raise ValueError("its box lacks a number") from None
    rows, cols = _size(row.get("height", "")), _size(row.get("width", ""))
    if not (-math.inf < row0 < row1 < math.inf and -math.inf < col0 < col1 < math.inf):
        raise ValueError("its box has no area")
    # Some boxes begin before the image's first pixel.
    top, left = max(0, math.floor(row0)), max(0, math.floor(col0))
    bottom, right = min(rows, math.ceil(row1)), min(cols, math.ceil(col1))
    if top >= bottom or left >= right:
        raise ValueError("its box lies outside the image")
    return _Finding(categories, _birads(line["finding_birads"]), (top, left, int(bottom), int(right)))


def _categories(text: str) -> tuple[str, ...]:
    """The names in a list that is written as Python writes it, such as ``['Mass', 'Skin Retraction']``."""
    try:
        found = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("finding_categories is no list of names")
    return tuple(name.strip() for name in found)


def _birads(text: str) -> int | None:
    match = re.fullmatch(r"(?:BI-?RADS\s*)?([0-6])[A-C]?", text.strip(), re.IGNORECASE)
    return int(match[1]) if match else None


def _size(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,6}", text) else math.inf


def _devices(table: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """What the headers' table says of each image, by id; and why it cannot be used."""
    if not table.is_file():
        return {}, []
    try:
        return {image_id: known for image_id, known in _device_rows(table) if known}, []
    except StudiesError as error:
        return {}, [(table.name, str(error))]


def _device_rows(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in read_table(table, ("sop instance uid",)):
        # The authors' list of attributes has the typographic apostrophe.
        named = {name.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"): text for name, text in row.items()}
        known: dict[str, Any] = {}
        if age := re.fullmatch(r"(\d{1,3})Y?", named.get("patient's age", "")):
            known["age"] = float(age[1])
        for name, column in (("manufacturer", "manufacturer"), ("machine", "manufacturer's model name")):
            if named.get(column):
                known[name] = named[column]
        yield row["sop instance uid"], known
