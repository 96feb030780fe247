"""``breastlabel import`` and ``phantom``: fill a studies folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from breastlabel.commands.console import print_json, progress
from breastlabel.commands.options import Json, Studies

__all__ = ["import_", "phantom"]


class PhantomModality(StrEnum):
    """What phantoms can be made of."""

    US = "US"
    MG = "MG"


def _shape(value: str | None) -> tuple[int, int] | None:
    """Rows and columns as given: ``4096x3328``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value.strip().lower())
    if match is None:
        raise typer.BadParameter(f"it must be ROWSxCOLUMNS, such as 4096x3328; got '{value}'")
    return int(match[1]), int(match[2])


def import_(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="busi, bus-bra, bus-uclm, cbis-ddsm, cdd-cesm, cmmd, inbreast, mini-mias, rsna, vindr-mammo "
            "or folder.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="The folder that holds the dataset.", show_default=False)
    ],
    studies: Studies,
    link: Annotated[
        bool, typer.Option("--link", help="Link to the images where they lie instead of copying them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read a dataset as its authors distribute it into a studies folder.

    Near-duplicates are grouped, and each patient or group gets a split (train, val, test) that never
    changes. Prints what was read, skipped and why. Importing again adds only what is missing.

    Example: breastlabel import busi Dataset_BUSI_with_GT --studies ~/studies

    Example: breastlabel import folder my-scans --studies ~/studies --link
    """
    from breastlabel.datasets import import_dataset

    with progress(quiet=as_json) as report:
        summary = import_dataset(
            dataset,
            source,
            studies,
            link=link,
            progress=lambda done, total: report("reading", done, total),
        )
    if as_json:
        print_json(asdict(summary))
    else:
        print(summary.text())


def phantom(
    studies: Studies,
    exams: Annotated[
        int | None,
        typer.Option(
            "--exams",
            metavar="N",
            min=1,
            help="How many patients; else 12 for US, 6 for MG.",
            show_default=False,
        ),
    ] = None,
    modality: Annotated[
        PhantomModality,
        typer.Option(
            "--modality", help="US: ultrasound. MG: mammograms, both breasts, CC and MLO, some priors."
        ),
    ] = PhantomModality.US,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same images.")] = 0,
    labelled: Annotated[
        float, typer.Option("--labelled", min=0, max=1, help="Share of the patients with label maps.")
    ] = 1.0,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="RxC",
            help="Rows and columns of the images; else 1024x832 for MG (full: 4096x3328), various for US.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make images of invented breasts with exact outlines, to try things on.

    Mammograms are DICOM files; where highdicom is installed, truth/ gets segmentations of their lesions.

    Example: breastlabel phantom --studies trial --exams 30

    Example: breastlabel phantom --modality MG --studies trial --exams 10 --seed 1
    """
    from breastlabel.datasets.phantoms import write_mammogram_phantoms, write_phantom_studies

    shape = _shape(size)
    with progress(quiet=as_json) as report:

        def show(done: int, total: int) -> None:
            report("drawing", done, total)

        if modality is PhantomModality.MG:
            records = write_mammogram_phantoms(
                studies, exams=exams or 6, seed=seed, labelled=labelled, progress=show, shape=shape
            )
        else:
            records = write_phantom_studies(
                studies, exams=exams or 12, seed=seed, labelled=labelled, progress=show, shape=shape
            )
    classes = dict(sorted(Counter(record.label or "unknown" for record in records).items()))
    if as_json:
        made = {"n_images": len(records), "by_class": classes, "images": [r.image_id for r in records]}
        print_json({"modality": modality.value, "seed": seed, **made})
    else:
        print(
            f"{len(records)} phantoms in {studies}: {', '.join(f'{n} {name}' for name, n in classes.items())}"
        )
