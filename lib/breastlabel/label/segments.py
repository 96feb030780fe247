"""Label maps as viewers send them: any values, named by a list of segments in any order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.findings import LABEL_NAMES
from breastlabel.imaging import LabelArray, image_stem, read_mask
from breastlabel.imaging.volumes import NIFTI_SUFFIXES, NRRD_SUFFIXES, read_volume

__all__ = ["LABELS", "read_segments"]

#: Segment names in the order of their values.
LABELS: tuple[str, ...] = tuple(LABEL_NAMES)


def read_segments(
    path: Path, *, shape: tuple[int, int], label_info: Sequence[Any] | None = None
) -> LabelArray:
    """Read a label map that a viewer saved, in the image's index space.

    Args:
        path: NIfTI or NRRD (a PNG where no segments are named).
        shape: (rows, cols) of the image.
        label_info: ``[{"name": segment, "idx": value}, ...]`` in the viewer's order. The name says what a
            value means, never the position. None or empty: values are taken as painted.

    Returns:
        uint8 (rows, cols): 0 nothing, 1 benign, 2 malignant. All 0 means that the reader saw no lesion.

    Raises:
        InvalidLabelError: another size, unknown segment names, or a value that no segment names.
    """
    if not label_info:
        return read_mask(path, shape=shape)
    values = _values_by_name(label_info)
    array = _stored_values(path)
    if array.shape != shape:
        raise InvalidLabelError(
            f"a label map of {shape[0]} x {shape[1]} (rows x cols, as the image) is required; got "
            f"{' x '.join(map(str, array.shape))}; draw it on the image itself"
        )
    mask: LabelArray = np.zeros(shape, np.uint8)
    named = array == 0
    for stored, painted in values.items():
        here = array == stored
        mask[here] = painted
        named |= here
    if not named.all():
        unnamed = ", ".join(f"{float(v):g}" for v in np.unique(array[~named])[:3])
        raise InvalidLabelError(
            f"every value of the label map must be named in label_info; {unnamed} is not; save all segments"
        )
    return mask


def _values_by_name(label_info: Sequence[Any]) -> dict[int, int]:
    """Value in the file -> value that the segment's name stands for."""
    values: dict[int, int] = {}
    for entry in label_info:
        try:
            name, stored = str(entry["name"]).strip().lower(), int(entry["idx"])
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidLabelError(
                'label_info must be a list of {"name": segment, "idx": value}; got '
                f"'{str(entry)[:80]}'; save the label from a MONAI Label client"
            ) from error
        # Viewers call the absence of a lesion background; it is the value 0 here.
        painted = 0 if name == "background" else LABEL_NAMES.get(name)
        if painted is None:
            raise InvalidLabelError(
                f"segment names must be {' or '.join(LABELS)}; got '{entry['name']}'; rename the segment"
            )
        if values.setdefault(stored, painted) != painted:
            raise InvalidLabelError(
                f"each value of the label map must have one name; {stored} has several; save the label again"
            )
    return values


def _stored_values(path: Path) -> npt.NDArray[Any]:
    suffix = path.name[len(image_stem(path)) :].lower()
    if suffix not in (*NIFTI_SUFFIXES, *NRRD_SUFFIXES):
        raise InvalidLabelError(
            f"a label map as .nii.gz or .nrrd is required; got {path.name}; choose it in the viewer"
        )
    try:
        return read_volume(path, suffix=suffix).array
    except InvalidImageError as error:
        raise InvalidLabelError(str(error)) from error
