"""mini-MIAS: 322 digitised film mammograms (MLO) of 161 women, with circles around abnormalities.

Suckling et al., "The Mammographic Image Analysis Society digital mammogram database", Exerpta Medica
International Congress Series 1069 (1994) 375. For research only.

Read on 120 real images of 60 women. In all of them the chest wall lies where the authors' statement of the
sides (odd numbers right, even ones left) puts it in the usual hanging: at the right edge of a right breast.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.datasets.source import Painter, SourceImage, SourceListing, paint_outlines
from breastlabel.errors import InvalidLabelError, StudiesError
from breastlabel.imaging import LabelArray, Laterality, LesionClass, Modality, ViewPosition

__all__ = ["list_mini_mias"]

_TABLES = ("Info.txt", "info.txt")
_SUFFIXES = (".pgm", ".png")
#: mm between pixels: the films were reduced from 50 to 200 micrometres.
_SPACING = (0.2, 0.2)
_CLASSES = {"B": LesionClass.BENIGN, "M": LesionClass.MALIGNANT}
_TYPES = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
}
_LINE = re.compile(r"(mdb(\d{3}))\s+([FGD])\s+(NORM|(CALC|CIRC|SPIC|MISC|ARCH|ASYM)\s+([BM])\b(.*))\s*")
_CIRCLE = re.compile(r"\s+(\d+)\s+(\d+)\s+(\d+)\s*")


@dataclass(frozen=True)
class _Lesion:
    """One line of the table: its circle is (x, y from the bottom, radius) in pixels; None where omitted."""

    label: LesionClass
    kind: str
    circle: tuple[int, int, int] | None


def list_mini_mias(source: Path) -> SourceListing:
    """The images of mini-MIAS: ``mdb001.pgm`` (or ``.png``) and ``Info.txt``.

    Images 2k - 1 and 2k are the right and the left breast of one woman. A circle becomes a filled disc in the
    label map; it encloses the lesion, or the cluster of calcifications, and is no outline (``outline`` is
    ``"circle"``). Where the authors omit a circle because the abnormality is spread out, the image has a
    class but no label map. Tissue (F fatty, G fatty-glandular, D dense-glandular) is kept as ``tissue``:
    three grades by another scheme cannot be told as the four of BI-RADS, so the density stays unknown.

    Args:
        source: the folder that holds the table, with the images or their folder ``all-mias`` beside it.

    Raises:
        StudiesError: the table is missing, or no line of it can be read.
    """
    table = next((source / name for name in _TABLES if (source / name).is_file()), None)
    if table is None:
        raise StudiesError(
            f"mini-MIAS's table Info.txt beside its images is required; found none in '{source}'; "
            "give the folder that holds it"
        )
    lines, skipped = _parse(table)
    if not lines:
        raise StudiesError(
            "a table with lines such as 'mdb001 G CIRC B 535 425 197' is required; Info.txt has none; "
            "check the file"
        )
    images: list[SourceImage] = []
    for name, (tissue, lesions) in sorted(lines.items()):
        file = _file(source, name)
        if file is None:
            skipped.append((name, "listed in the table, but its image is missing"))
        else:
            images.append(_image(name, file, tissue, lesions))
    there = {f.stem for s in _SUFFIXES for f in _folder(source).glob(f"mdb*{s}")}
    unlisted = there - set(lines) - {name for name, _ in skipped}
    skipped += [(name, "not listed in Info.txt") for name in sorted(unlisted)]
    return SourceListing(images, skipped)


def _parse(table: Path) -> tuple[dict[str, tuple[str, list[_Lesion]]], list[tuple[str, str]]]:
    """Tissue and lesions by image, and the lines that cannot be read; other text is passed over."""
    tissues: dict[str, str] = {}
    lesions: dict[str, list[_Lesion]] = defaultdict(list)
    skipped = []
    for line in table.read_text(encoding="latin-1").splitlines():
        if not re.match(r"mdb\d", line):
            continue
        match = _LINE.fullmatch(line.strip())
        circle = _CIRCLE.fullmatch(match[7] or "") if match else None
        if match is None or (match[7] and circle is None and "NOTE" not in match[7]):
            skipped.append((line.split()[0], "its line in Info.txt cannot be read"))
            continue
        tissues[match[1]] = match[3]
        if match[5]:
            at = (int(circle[1]), int(circle[2]), int(circle[3])) if circle else None
            lesions[match[1]].append(_Lesion(_CLASSES[match[6]], _TYPES[match[5]], at))
    for name, _ in skipped:
        tissues.pop(name, None)
    return {name: (tissue, lesions[name]) for name, tissue in tissues.items()}, skipped


def _image(name: str, file: Path, tissue: str, lesions: Sequence[_Lesion]) -> SourceImage:
    number = int(name[3:])
    patient = f"mini-mias:{(number + 1) // 2:03d}"
    metadata: dict[str, Any] = {"tissue": tissue}
    if lesions:
        metadata |= {"type": ", ".join(sorted({lesion.kind for lesion in lesions})), "outline": "circle"}
    return SourceImage(
        image_id=f"mini-mias-{name}",
        file=file,
        label=max((lesion.label for lesion in lesions), default=LesionClass.NORMAL),
        paint=_painter(lesions),
        patient_key=patient,
        study_key=patient,
        laterality=Laterality.R if number % 2 else Laterality.L,
        view_position=ViewPosition.MLO,
        modality=Modality.MG,
        spacing=_SPACING,
        metadata=metadata,
    )


def _painter(lesions: Sequence[_Lesion]) -> Painter | None:
    if not lesions:
        return paint_outlines(LesionClass.NORMAL, [])
    if any(lesion.circle is None for lesion in lesions):
        # A map that shows some of the lesions only would say that the others are not there.
        return None

    def paint(shape: tuple[int, int]) -> LabelArray:
        labels = np.zeros(shape, np.uint8)
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        # Malignant last, so that it is on top where discs overlap.
        for lesion in sorted(lesions, key=lambda lesion: lesion.label):
            assert lesion.circle is not None
            x, y, radius = lesion.circle
            disc = (rows - (shape[0] - 1 - y)) ** 2 + (cols - x) ** 2 <= radius**2
            if not disc.any():
                raise InvalidLabelError(f"a circle of the table lies outside the image ({x}, {y}, {radius})")
            labels[disc] = lesion.label
        return labels

    return paint


def _folder(source: Path) -> Path:
    return source / "all-mias" if (source / "all-mias").is_dir() else source


def _file(source: Path, name: str) -> Path | None:
    folder = _folder(source)
    return next((f for s in _SUFFIXES if (f := folder / f"{name}{s}").is_file()), None)
