"""BUS-BRA: breast ultrasound of 1,064 patients, with pathology, histology, BI-RADS and outlines.

Gomez-Flores et al., "BUS-BRA: A breast ultrasound dataset for assessing computer-aided diagnosis systems",
Medical Physics 51 (2024) 3110.

Many images carry burned-in text (breast, clock position, sizes) and callipers on the lesion's border. A model
can learn from either; figures on this set say nothing of images without them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from breastlabel.datasets.source import (
    SourceImage,
    SourceListing,
    paint_outlines,
    read_table,
    require_folder,
    why_unusable,
)
from breastlabel.imaging import LesionClass

__all__ = ["list_bus_bra"]

_TABLE = "bus_data.csv"
_CLASSES = {"benign": LesionClass.BENIGN, "malignant": LesionClass.MALIGNANT}


def list_bus_bra(source: Path) -> SourceListing:
    """The images of BUS-BRA: ``Images/bus_0001-l.png``, ``Masks/mask_0001-l.png``, ``bus_data.csv``.

    The patient is the table's ``Case``. Its ``Side`` (and the file's ``-l``, ``-r``, ``-s``) is the half of
    a dual screen from which the image was cut, not the breast: burned-in texts of both breasts occur on
    either half. It is therefore kept as ``display_half``, and laterality stays unknown. Width, height and
    box are left out, because the image and its mask carry them and four of the sizes are wrong. The
    authors' folds are kept as ``fold_5`` and ``fold_10``.

    Args:
        source: the folder that holds the three, or holds ``BUSBRA`` that does.

    Raises:
        StudiesError: the folders or the table are missing.
    """
    root = source / "BUSBRA" if (source / "BUSBRA").is_dir() else source
    what = f"BUS-BRA's folders Images and Masks beside {_TABLE} are required"
    image_folder = require_folder(root / "Images", what=what)
    mask_folder = require_folder(root / "Masks", what=what)
    folds = {n: _folds(root / f"{n}-fold-cv.csv") for n in (5, 10)}
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    listed = set()
    for row in read_table(root / _TABLE, ("id", "case", "pathology")):
        name = row["id"]
        listed.add(name)
        number = name.removeprefix("bus_")
        file, mask = image_folder / f"{name}.png", mask_folder / f"mask_{number}.png"
        label = _CLASSES.get(row["pathology"].lower())
        unknown = f"pathology must be benign or malignant; the table says '{row['pathology']}'"
        reason = why_unusable(label, file, mask, unknown_class=unknown)
        if label is None or reason is not None:
            skipped.append((name, reason or unknown))
        else:
            images.append(
                SourceImage(
                    image_id=f"bus-bra-{number}",
                    file=file,
                    label=label,
                    paint=paint_outlines(label, [mask]),
                    patient_key=f"bus-bra:{row['case']}",
                    metadata=_metadata(row) | {f"fold_{n}": f[name] for n, f in folds.items() if name in f},
                )
            )
    unlisted = sorted(f.stem for f in image_folder.glob("*.png") if f.stem not in listed)
    skipped += [(name, f"not listed in {_TABLE}") for name in unlisted]
    return SourceListing(images, skipped)


def _metadata(row: dict[str, str]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if row.get("birads", "").isdigit():
        known["birads"] = int(row["birads"])
    for column, name in (("histology", "histology"), ("device", "device"), ("side", "display_half")):
        if row.get(column):
            known[name] = row[column]
    return known


def _folds(table: Path) -> dict[str, int]:
    if not table.is_file():
        return {}
    return {row["id"]: int(float(row["kfold"])) for row in read_table(table, ("id", "kfold")) if row["kfold"]}
