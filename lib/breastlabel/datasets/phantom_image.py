"""One ultrasound phantom: patient, slice, lesion, scanner, in that order, from a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.datasets.phantom_lesion import add_lesion
from breastlabel.datasets.phantom_scanner import ScannerStyle, Style, scan
from breastlabel.datasets.phantom_tissue import View, draw_anatomy, draw_tissue
from breastlabel.errors import StudiesError
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Phantom", "ultrasound_phantom"]

MIN_SIZE = 48
"""Smallest rows and columns of a phantom; a lesion of smaller pictures would be a few pixels wide."""


class Phantom(NamedTuple):
    """One image with its truth.

    Attributes:
        pixels: uint8 (rows, cols).
        mask: label map, uint8 (rows, cols).
        spacing_mm: (between rows, between columns).
        label: what the image shows.
        patient_key: equal for images of the same patient.
    """

    pixels: npt.NDArray[np.uint8]
    mask: LabelArray
    spacing_mm: tuple[float, float]
    label: LesionClass
    patient_key: str


def ultrasound_phantom(
    seed: int,
    *,
    label: LesionClass,
    shape: tuple[int, int] = (256, 320),
    patient: int | None = None,
    style: Style | ScannerStyle = Style.REFERENCE,
) -> Phantom:
    """One breast ultrasound image; equal arguments give equal images.

    Args:
        seed: of the image.
        label: what it shows. Normal images have distractors (fat lobules, ducts, shadows) but no lesion.
        shape: (rows, cols); the field of view is 20 to 31 mm deep, whatever the number of pixels.
        patient: whose breast it is: images of one patient share layers and depth; by default a new patient
            for every seed.
        style: the scanner.

    Raises:
        StudiesError: the shape is smaller than 48 x 48, or a seed negative.
    """
    rows, cols = shape
    if min(rows, cols) < MIN_SIZE:
        raise StudiesError(
            f"a phantom of at least {MIN_SIZE} x {MIN_SIZE} pixels is required; got {rows} x {cols}; "
            "choose a larger shape"
        )
    if seed < 0 or (patient is not None and patient < 0):
        raise StudiesError(f"seeds of 0 or more are required; got {seed} and {patient}; choose others")
    owner = seed if patient is None else patient
    of_patient = np.random.default_rng([owner, 1])
    of_image = np.random.default_rng([owner, seed, 2])
    depth = float(of_patient.uniform(20, 31))
    view = View((rows, cols), float(f"{depth / rows:.4g}"))
    tissue = draw_tissue(of_image, draw_anatomy(of_patient, depth), view)
    mask = np.zeros(shape, np.uint8)
    if label is not LesionClass.NORMAL:
        tissue, lesion = add_lesion(of_image, tissue, view, label)
        mask[lesion] = label
    scanner = style.scanner if isinstance(style, Style) else style
    pixels = scan(of_image, tissue, view, scanner)
    return Phantom(pixels, mask, (view.spacing, view.spacing), label, f"phantom-{owner:06d}")
