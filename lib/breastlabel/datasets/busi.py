"""BUSI: breast ultrasound images of normal, benign and malignant findings.

Al-Dhabyani et al., "Dataset of breast ultrasound images", Data in Brief 28 (2020) 104863. Without patient
ids, with many near-duplicates, some of them in two classes.
"""

from __future__ import annotations

import re
from pathlib import Path

from breastlabel.datasets.source import SourceImage, SourceListing, paint_outlines, require_folder
from breastlabel.imaging import LesionClass

__all__ = ["list_busi"]

_FOLDER = "Dataset_BUSI_with_GT"
_IMAGE = re.compile(r"(?:benign|malignant|normal) \((\d+)\)", re.IGNORECASE)
_MASK = re.compile(r"(?P<image>.+)_mask(?:_\d+)?", re.IGNORECASE)


def list_busi(source: Path) -> SourceListing:
    """The images of BUSI: ``benign (1).png`` with ``benign (1)_mask.png`` and, where a lesion has several
    outlines, ``benign (1)_mask_1.png`` and so on, in one folder for each class.

    Args:
        source: ``Dataset_BUSI_with_GT``, or the folder that holds it.

    Raises:
        StudiesError: there are no such folders.
    """
    root = source / _FOLDER if (source / _FOLDER).is_dir() else source
    images: list[SourceImage] = []
    skipped: list[tuple[str, str]] = []
    for label in LesionClass:
        folder = require_folder(
            root / label.label, what=f"BUSI's folders benign, malignant and normal in {_FOLDER} are required"
        )
        files = {file.stem: file for file in sorted(folder.glob("*.png"))}
        masks: dict[str, list[Path]] = {}
        for stem, file in files.items():
            if match := _MASK.fullmatch(stem):
                masks.setdefault(match["image"], []).append(file)
        for stem, file in files.items():
            name = f"{label.label}/{file.name}"
            match = _MASK.fullmatch(stem)
            if match:
                if match["image"] not in files:
                    skipped.append((name, "a mask without its image"))
            elif not (number := _IMAGE.fullmatch(stem)):
                skipped.append((name, "not named as the dataset's images are"))
            elif label is not LesionClass.NORMAL and stem not in masks:
                skipped.append((name, "its mask is missing"))
            else:
                images.append(
                    SourceImage(
                        image_id=f"busi-{label.label}-{int(number[1]):04d}",
                        file=file,
                        label=label,
                        paint=paint_outlines(label, masks.get(stem, [])),
                    )
                )
    return SourceListing(sorted(images, key=lambda image: image.image_id), skipped)
