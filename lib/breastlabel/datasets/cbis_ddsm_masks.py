"""The masks of CBIS-DDSM's abnormalities -> one label map of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.datasets.source import Painter
from breastlabel.errors import InvalidLabelError
from breastlabel.imaging import LabelArray, LesionClass, Modality, read_image

__all__ = ["Abnormality", "paint_abnormalities"]

#: How much the scales along rows and columns may differ where a mask is brought to the film's size. Masks of
#: about 15 films were drawn on another scan (scales of 1.149 along both, to 0.0004); two belong to no scan of
#: their film (Calc-Test_P_00353: scales differ by 0.003 and 0.006). github.com/fjeg/ddsm_tools, issue 5.
_SAME_SHAPE = 0.002
#: A mask has two values; JPEG copies blur the step between them.
_TWO_VALUED = 0.99


@dataclass(frozen=True)
class Abnormality:
    """One outlined finding.

    Attributes:
        files: one of them is its mask, the others are crops of the film.
    """

    label: LesionClass
    files: tuple[Path, ...]


def paint_abnormalities(abnormalities: Sequence[Abnormality]) -> Painter:
    """A painter of the union of masks, each in its class, malignant on top.

    It refuses (InvalidLabelError) an abnormality none of whose files is a mask that fits the film.
    """

    def paint(shape: tuple[int, int]) -> LabelArray:
        labels = np.zeros(shape, np.uint8)
        for abnormality in sorted(abnormalities, key=lambda a: a.label):
            labels[_mask(abnormality.files, shape)] = abnormality.label
        return labels

    return paint


def _mask(files: Sequence[Path], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    masks = [mask for file in files if (mask := _two_valued(file)) is not None]
    for mask in masks:
        if mask.shape == shape:
            return mask
    for mask in masks:
        by_rows, by_cols = shape[0] / mask.shape[0], shape[1] / mask.shape[1]
        if abs(by_rows / by_cols - 1) <= _SAME_SHAPE:
            resized = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
            return np.asarray(resized > 0, np.bool_)
    sizes = ", ".join(f"{mask.shape[0]} x {mask.shape[1]}" for mask in masks) or "none with two values"
    raise InvalidLabelError(
        f"a mask in the film's shape, {shape[0]} x {shape[1]} (rows x cols), is required; found {sizes}"
    )


def _two_valued(file: Path) -> npt.NDArray[np.bool_] | None:
    """The file as a mask; None where it is a picture."""
    pixels: npt.NDArray[Any] = read_image(file, modality=Modality.MG).pixels
    low, high = float(pixels.min()), float(pixels.max())
    near = (high - low) / 8
    at_an_end = (pixels <= low + near) | (pixels >= high - near)
    return np.asarray(pixels > (low + high) / 2, np.bool_) if at_an_end.mean() >= _TWO_VALUED else None
