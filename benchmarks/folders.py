"""Studies folders with many images, made quickly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import ultrasound_phantom
from breastlabel.imaging import LesionClass

__all__ = ["image_folder", "image_id", "studies_of"]

_KINDS = 20


def image_id(number: int) -> str:
    """The id of the image of this number."""
    return f"image-{number:06d}"


def image_folder(folder: Path, n: int, *, size: int = 64) -> Path:
    """A folder of n PNG files: a few phantoms, linked under many names, because only their number matters."""
    folder.mkdir(parents=True)
    for i in range(min(n, _KINDS)):
        phantom = ultrasound_phantom(i, label=LesionClass(i % 3), shape=(size, size))
        Image.fromarray(phantom.pixels.astype(np.uint8)).save(folder / f"{image_id(i)}.png")
    for i in range(_KINDS, n):
        os.link(folder / f"{image_id(i % _KINDS)}.png", folder / f"{image_id(i)}.png")
    return folder


def studies_of(folder: Path, n: int, *, size: int = 64) -> Path:
    """`image_folder`, with the images known to its catalog."""
    image_folder(folder, n, size=size)
    Catalog.open(folder).close()
    return folder
