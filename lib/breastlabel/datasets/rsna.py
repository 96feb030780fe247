"""RSNA screening mammography: 54,706 images of 11,913 women of two sites, with cancer known by breast.

Carr et al., "RSNA Screening Mammography Breast Cancer Detection", Kaggle and the Radiological Society of
North America (2022). The columns and their meaning are those of the competition's data page.

This reader has met only a synthetic tree of that layout, not the real files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.datasets.invasiveness import INVASIVE
from breastlabel.datasets.source import SourceImage, SourceListing, paint_outlines
from breastlabel.datasets.source_files import by_stem, find_table, image_files, number_of, rows_by, table_rows
from breastlabel.imaging import Density, Laterality, LesionClass, Modality, ViewPosition

__all__ = ["list_rsna"]

_COLUMNS = ("patient_id", "image_id", "laterality", "view", "cancer", "biopsy")
_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
#: The folder of the competition's test set.
_TEST = "test_images"


def list_rsna(source: Path) -> SourceListing:
    """The images of ``train.csv``: ``train_images/<patient_id>/<image_id>.dcm``, or copies of that name.

    Of ``site_id, patient_id, image_id, laterality, view, age, cancer, biopsy, invasive, BIRADS, implant,
    density, machine_id, difficult_negative_case`` those up to ``biopsy`` that name image and class are
    required. The class of a breast:

    - ``cancer`` 1: malignant. ``biopsy`` 1 without cancer: benign.
    - Neither: normal. An empty label map, which says that a reader saw nothing, goes only with BI-RADS 1
      (negative): 2 may be a benign finding, 0 was recalled and cleared, and one of the two sites gives none
      at all. These have a class without a label map. Leaving them out would leave that site with cancers
      and biopsies only, and a model would learn the site.

    BI-RADS (0, 1, 2, of the screening), ``difficult_negative_case``, ``site`` and the machine are kept, and
    ``invasive`` of a cancer; of a breast without one its 0 says nothing. All images of a woman are one exam;
    the headers' dates are those of the de-identification, and no date is kept. Kaggle's test set has no
    classes and is not read, so there is no partition to keep.

    Args:
        source: the folder that holds table and images, at any depth.

    Raises:
        StudiesError: the table is missing, or cannot be read.
    """
    table = find_table(source, "train", dataset="RSNA's screening set", table="train.csv")
    rows, skipped = rows_by("image_id", table_rows(table, _COLUMNS))
    twice = {name for name, _ in skipped}
    found = image_files(source)
    unlabelled = [file for file in found if _TEST in file.relative_to(source).parts]
    files, same = by_stem(file for file in found if _TEST not in file.relative_to(source).parts)
    skipped += same
    images: list[SourceImage] = []
    for image_id, file in sorted(files.items()):
        row = rows.pop(image_id, None)
        if row is None and image_id in twice:
            continue
        if row is None:
            skipped.append((file.name, "not listed in train.csv"))
            continue
        label = _class_of(row)
        if label is None:
            skipped.append((file.name, "cancer and biopsy must be 0 or 1; the table says neither"))
        else:
            images.append(_image(image_id, file, row, label))
    if rows:
        skipped.append((table.name, f"{len(rows)} listed images are missing"))
    if unlabelled:
        skipped.append((_TEST, f"{len(unlabelled)} images of the test set have no class"))
    return SourceListing(images, skipped)


def _image(image_id: str, file: Path, row: Mapping[str, str], label: LesionClass) -> SourceImage:
    # An image without a patient's number is of a patient of its own.
    patient = f"rsna:{row['patient_id'] or f'image {image_id}'}"
    side, view = row["laterality"].upper(), row["view"].upper()
    seen_normal = label is LesionClass.NORMAL and number_of(row.get("birads", "")) == 1
    return SourceImage(
        image_id=f"rsna-{image_id}",
        file=file,
        label=label,
        paint=paint_outlines(label, []) if seen_normal else None,
        patient=patient,
        study=patient,
        laterality=Laterality(side) if side in set(Laterality) else None,
        view_position=ViewPosition(view) if view in set(ViewPosition) else None,
        modality=Modality.MG,
        metadata=_metadata(row),
    )


def _class_of(row: Mapping[str, str]) -> LesionClass | None:
    cancer, biopsy = _flag(row, "cancer"), _flag(row, "biopsy")
    if cancer:
        return LesionClass.MALIGNANT
    if cancer is None or biopsy is None:
        return None
    return LesionClass.BENIGN if biopsy else LesionClass.NORMAL


def _flag(row: Mapping[str, str], column: str) -> bool | None:
    return _FLAGS.get(row.get(column, "").lower())


def _metadata(row: Mapping[str, str]) -> dict[str, Any]:
    # None stands against the header's date.
    known: dict[str, Any] = {"acquired": None}
    if (age := number_of(row.get("age", ""))) is not None:
        known["age"] = age
    if row.get("density", "").upper() in set(Density):
        known["density"] = row["density"].upper()
    if (birads := number_of(row.get("birads", ""))) is not None:
        known["birads"] = int(birads)
    flags = ["implant", "difficult_negative_case"]
    if _flag(row, "cancer"):
        flags.append(INVASIVE)
    for name in flags:
        if (flag := _flag(row, name)) is not None:
            known[name] = flag
    for name, column in (("machine", "machine_id"), ("site", "site_id")):
        if row.get(column):
            known[name] = row[column]
    if row["view"].upper() not in set(ViewPosition) and row["view"]:
        # Such as AT, the axillary tail, which DICOM has as a modifier.
        known["view"] = row["view"].upper()
    return known
