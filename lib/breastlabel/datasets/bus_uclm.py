"""BUS-UCLM: breast ultrasound of 38 patients, with outlines in colour.

Vallez et al., "BUS-UCLM: Breast ultrasound lesion segmentation dataset", Scientific Data 12 (2025) 242.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from breastlabel.datasets.source import (
    Painter,
    SourceImage,
    SourceListing,
    read_table,
    require_folder,
    why_unusable,
)
from breastlabel.errors import InvalidLabelError
from breastlabel.imaging import LabelArray, LesionClass

__all__ = ["list_bus_uclm"]

_TABLE = "INFO.csv"
_CLASSES = {c.label: c for c in LesionClass}
_TRUE = ("1", "true", "yes", "y", "x", "si", "sí")


def list_bus_uclm(source: Path) -> SourceListing:
    """The images of BUS-UCLM: ``images/``, ``masks/`` of the same names, ``INFO.csv``.

    Masks are RGB: red malignant, green benign. The table is separated by ``;`` and opens with a byte order
    mark: Image;Resolution;Label;Doppler;Marks;Combined. The patient is the letters before ``_`` in the
    name. Doppler, Marks (callipers) and Combined (dual panel) become the metadata ``doppler``,
    ``callipers`` and ``dual_panel``.

    Raises:
        StudiesError: the folders or the table are missing.
    """
    what = f"BUS-UCLM's folders images and masks beside {_TABLE} are required"
    image_folder = require_folder(source / "images", what=what)
    mask_folder = require_folder(source / "masks", what=what)
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    listed = set()
    for row in read_table(source / _TABLE, ("image", "label"), delimiter=";"):
        name = row["image"] if row["image"].lower().endswith(".png") else f"{row['image']}.png"
        listed.add(name)
        file, mask = image_folder / name, mask_folder / name
        label = _CLASSES.get(row["label"].lower())
        unknown = f"Label must be normal, benign or malignant; it is '{row['label']}'"
        reason = why_unusable(label, file, mask, unknown_class=unknown)
        if label is None or reason is not None:
            skipped.append((name, reason or unknown))
        else:
            images.append(
                SourceImage(
                    image_id=f"bus-uclm-{file.stem}",
                    file=file,
                    label=label,
                    paint=_paint_colours(mask, label),
                    patient_key=f"bus-uclm:{file.stem.split('_')[0]}",
                    metadata={
                        "doppler": _flag(row, "doppler"),
                        "callipers": _flag(row, "marks"),
                        "dual_panel": _flag(row, "combined"),
                    },
                )
            )
    unlisted = sorted(f.name for f in image_folder.glob("*.png") if f.name not in listed)
    skipped += [(name, f"not listed in {_TABLE}") for name in unlisted]
    return SourceListing(images, skipped)


def _flag(row: dict[str, str], column: str) -> bool:
    return row.get(column, "").lower() in _TRUE


def _paint_colours(mask: Path, label: LesionClass) -> Painter:
    def paint(shape: tuple[int, int]) -> LabelArray:
        try:
            with Image.open(mask) as opened:
                red, green = (np.asarray(c, np.int16) for c in opened.convert("RGB").split()[:2])
        except (OSError, ValueError) as error:
            raise InvalidLabelError(f"a readable mask is required; {mask.name} is damaged") from error
        if red.shape != shape:
            raise InvalidLabelError(
                f"a mask of the image's size {shape[0]} x {shape[1]} (rows x cols) is required; it has "
                f"{red.shape[0]} x {red.shape[1]}"
            )
        # Half brightness, so that soft edges of a resized mask do not count as lesion.
        labels = np.zeros(shape, np.uint8)
        labels[(green > 127) & (green > red)] = LesionClass.BENIGN
        labels[(red > 127) & (red > green)] = LesionClass.MALIGNANT
        painted = {LesionClass(int(v)).label for v in np.unique(labels[labels > 0])} or {"normal"}
        if label.label not in painted:
            raise InvalidLabelError(
                f"the table says {label.label}, the mask is {' and '.join(sorted(painted))}"
            )
        return labels

    return paint
