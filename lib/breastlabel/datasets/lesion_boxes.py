"""Boxes around the lesions of an image: those of a reader, or those of the outlines."""

from __future__ import annotations

import numpy as np

from breastlabel.catalog import ImageRecord
from breastlabel.imaging import LabelArray
from breastlabel.transforms.boxes import BoxArray, component_boxes

__all__ = ["BOXES", "lesion_boxes", "painted_boxes"]

BOXES = "boxes"
"""Where an image's metadata say where a reader drew boxes, each (row0, col0, row1, col1)."""


def lesion_boxes(record: ImageRecord, mask: LabelArray | None) -> BoxArray | None:
    """(n, 4): of a label map's components, which are newer, or else the reader's; None where nobody drew."""
    if mask is not None:
        return component_boxes(mask)
    drawn = record.metadata.get(BOXES)
    return np.asarray(drawn, np.float32).reshape(-1, 4) if drawn else None


def painted_boxes(boxes: BoxArray, shape: tuple[int, int]) -> LabelArray:
    """A mask (rows, cols) of 1 in the boxes; those that touch become one."""
    painted = np.zeros(shape, np.uint8)
    for row0, col0, row1, col1 in np.rint(boxes).astype(int).tolist():
        painted[max(row0, 0) : max(row1, 0), max(col0, 0) : max(col1, 0)] = 1
    return painted
