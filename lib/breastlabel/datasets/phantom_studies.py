"""A studies folder of ultrasound phantoms: images, label maps, patients and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from breastlabel.catalog import LABELS_FOLDER, SPLITS, Catalog, ImageRecord, label_path
from breastlabel.datasets.phantom_image import Phantom, ultrasound_phantom
from breastlabel.datasets.phantom_scanner import ScannerStyle, Style
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging import Geometry, LesionClass, Modality, write_image, write_mask

__all__ = ["DATASET", "SPLIT_CYCLE", "changes", "write_phantom_studies"]

DATASET = "phantom"
SPLIT_CYCLE = tuple(
    {1: "val", 3: "test", 8: "val", 10: "test", 14: "val", 17: "test"}.get(i, "train") for i in range(20)
)
"""The splits of a class's exams, in turns: 70/15/15, each split early, and the same whatever the number of
exams, so that a folder can grow without an exam changing sides. Four exams a class fill all three splits."""
_SHAPES = ((256, 320), (240, 320), (256, 288), (288, 352))
_SUFFIXES = (".nrrd", ".nii.gz", ".png")


def write_phantom_studies(
    studies: str | Path,
    *,
    exams: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    images_per_exam: int = 2,
    classes: Sequence[LesionClass] = tuple(LesionClass),
    shape: tuple[int, int] | None = None,
    style: Style | ScannerStyle = Style.REFERENCE,
    labelled: float = 1.0,
    split: str | None = None,
    suffix: str = ".nrrd",
) -> list[ImageRecord]:
    """Add phantom exams to a studies folder, which is made if it does not exist.

    An exam is one patient with ``images_per_exam`` images of one class; classes take turns. Ids are
    ``phantom-<seed>-<exam>-<letter>``, with the style's name before the seed where it is not the reference,
    so that several calls with other seeds or styles fill one folder. Repeating a call, also one that was
    killed, completes it and changes nothing else: neither splits nor labels corrected since.

    Args:
        studies: the folder.
        exams: how many patients.
        seed: of everything.
        progress: called with (images done, images in all).
        images_per_exam: 1 to 26.
        classes: the classes to take turns.
        shape: (rows, cols) of all images; by default sizes vary from patient to patient.
        style: the scanner; another one than the reference makes a shifted site.
        labelled: the share of exams that have label maps and a known class.
        split: the split of all exams; by default 70/15/15 by patient within each class; see `SPLIT_CYCLE`.
        suffix: ``.nrrd`` or ``.nii.gz``, which keep the spacing, or ``.png``.

    Returns:
        The images' records, as the catalog has them, in the order of their ids.

    Raises:
        StudiesError: a count, share, suffix or shape that cannot be.
        UnknownNameError: no such split.
    """
    if exams < 1 or not 1 <= images_per_exam <= 26 or not classes or not 0 <= labelled <= 1:
        raise StudiesError(
            "at least 1 exam, 1 to 26 images an exam, 1 class and a labelled share of 0 to 1 are required; "
            f"got {exams}, {images_per_exam}, {len(classes)} and {labelled:g}; change them"
        )
    if seed < 0:
        raise StudiesError(f"a seed of 0 or more is required; got {seed}; choose another")
    if suffix not in _SUFFIXES:
        raise StudiesError(
            f"suffix must be one of {', '.join(_SUFFIXES)}; got '{suffix}'; choose one of these"
        )
    if split is not None and split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    folder = Path(studies).absolute()
    plan = list(
        _plan(
            exams, seed, images_per_exam, classes, shape, style, labelled=labelled, suffix=suffix, split=split
        )
    )
    records: list[ImageRecord] = []
    # Opening the catalog lets it learn of files that a killed run left behind, so that they are seen below.
    with Catalog.open(folder, create=True) as catalog:
        known = {record.image_id: record for record in catalog.images()}
        for done, item in enumerate(plan, start=1):
            there = known.get(item.image_id)
            if there is not None and there.dataset == DATASET and (folder / there.file).exists():
                records.append(there)
            else:
                records.append(_write(item, folder))
            if progress is not None:
                progress(done, len(plan))
        catalog.add_images(records)
        catalog.update_images(changes(records, known))
        ids = {record.image_id for record in records}
        return [record for record in catalog.images() if record.image_id in ids]


class _Planned(NamedTuple):
    image_id: str
    image_seed: int
    patient: int
    label: LesionClass
    shape: tuple[int, int]
    style: Style | ScannerStyle
    labelled: bool
    suffix: str
    split: str

    def phantom(self) -> Phantom:
        return ultrasound_phantom(
            self.image_seed, label=self.label, shape=self.shape, patient=self.patient, style=self.style
        )


def _plan(
    exams: int,
    seed: int,
    images_per_exam: int,
    classes: Sequence[LesionClass],
    shape: tuple[int, int] | None,
    style: Style | ScannerStyle,
    *,
    labelled: float,
    suffix: str,
    split: str | None,
) -> Iterator[_Planned]:
    name = style.value if isinstance(style, Style) else "custom"
    prefix = f"phantom-{seed}" if style is Style.REFERENCE else f"phantom-{name}-{seed}"
    for exam in range(exams):
        # A stream of its own for each exam: the first exams are the same whatever their number.
        rng = np.random.default_rng([seed, exam, 3])
        size = shape or _SHAPES[int(rng.integers(len(_SHAPES)))]
        is_labelled = bool(rng.random() < labelled)
        for image in range(images_per_exam):
            yield _Planned(
                image_id=f"{prefix}-{exam + 1:04d}-{chr(ord('a') + image)}",
                image_seed=image,
                patient=seed * 100_000 + exam,
                label=LesionClass(classes[exam % len(classes)]),
                shape=size,
                style=style,
                labelled=is_labelled,
                suffix=suffix,
                split=split or SPLIT_CYCLE[exam // len(classes) % len(SPLIT_CYCLE)],
            )


def _write(item: _Planned, folder: Path) -> ImageRecord:
    """Write label map and image; the label first, so that no image is ever seen without its label."""
    phantom = item.phantom()
    rows, cols = phantom.spacing_mm
    has_space = item.suffix != ".png"
    geometry = Geometry((cols, rows, 1.0)) if has_space else Geometry()
    if item.labelled and label_path(folder, item.image_id) is None:
        write_mask(folder / LABELS_FOLDER / f"{item.image_id}.nrrd", phantom.mask, geometry=geometry)
    file = f"{item.image_id}{item.suffix}"
    write_image(folder / file, phantom.pixels, geometry=geometry)
    style = item.style.value if isinstance(item.style, Style) else "custom"
    return ImageRecord(
        image_id=item.image_id,
        file=file,
        dataset=DATASET,
        modality=Modality.US,
        patient_key=phantom.patient_key,
        group=f"{DATASET}:{phantom.patient_key}",
        split=item.split,
        label=phantom.label.label if item.labelled else None,
        reviewed=item.labelled,
        spacing_rows=rows if has_space else None,
        spacing_cols=cols if has_space else None,
        metadata={"machine": style, "synthetic": True},
    )


def changes(records: list[ImageRecord], known: dict[str, ImageRecord]) -> dict[str, dict[str, object]]:
    """What the catalog must learn of images that it knew: as plain files of a killed run, or as missing."""
    changes: dict[str, dict[str, object]] = {}
    for record in records:
        there = known.get(record.image_id)
        if there is None or there is record:
            continue
        if there.dataset == DATASET:
            changes[record.image_id] = {"excluded": None}
        else:
            changes[record.image_id] = {
                f.name: getattr(record, f.name) for f in fields(record) if f.name != "image_id"
            }
    return changes
