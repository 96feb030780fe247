"""Whether a segmentation's frame lies on the pixels of its image, and which way round."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from breastlabel.findings.dicom_seg_parts import FramePlace, refused
from breastlabel.imaging.dicom_spacing import pixel_spacing
from breastlabel.imaging.dicom_values import items, number, numbers
from breastlabel.imaging.ultrasound_regions import ultrasound_regions

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Flip", "frame_flip"]

#: Viewers write decimals with few digits, and calibrate by factors that are rounded.
_SPACING_TOLERANCE = 0.02
_COSINE_TOLERANCE = 1e-3


class Flip(NamedTuple):
    """Which of a frame's axes run against those of the image."""

    rows: bool = False
    columns: bool = False


def frame_flip(place: FramePlace, shape: tuple[int, int], source: Dataset) -> Flip:
    """How a frame is to be turned to lie on its image.

    Spacing and orientation are compared where both objects state them. A spacing of 1 x 1 counts as not
    stated: viewers write it where they know none. Any of the spacings that an image may state will do,
    for viewers differ in which they copy. A frame that runs against the image along an axis is turned only
    where both also say where their first pixels lie, and these agree with it.

    Args:
        place: of the frame.
        shape: (rows, columns) of the frame.
        source: the image; its pixels are not looked at.

    Raises:
        InvalidLabelError: it lies on another grid of pixels than the image.
    """
    rows, columns = int(number(source, "Rows") or 0), int(number(source, "Columns") or 0)
    if shape != (rows, columns):
        raise refused(
            f"a segmentation of {rows} x {columns} pixels (rows x columns, as the image)",
            f"it has {shape[0]} x {shape[1]}",
            "draw it on the image itself",
        )
    known = list(_spacings(source))
    stated = place.spacing is not None and not _close(place.spacing, (1.0, 1.0))
    if stated and known and not any(_close(place.spacing or (), other) for other in known):
        raise refused(
            "pixels of the image's size in mm",
            "those of the segmentation have another, so it lies on another grid",
            "draw it on the image itself",
        )
    return _orientation(place, shape, source)


def _spacings(source: Dataset) -> Iterator[Sequence[float]]:
    """Every size of a pixel that the image states, in mm."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = numbers(source, keyword)
        if values is not None and len(values) == 2:
            yield values
    corrected = pixel_spacing(source)
    if corrected is not None:
        yield corrected
    if items(source, "SequenceOfUltrasoundRegions"):
        regions = ultrasound_regions(source).spacing
        if regions is not None:
            yield regions


def _orientation(place: FramePlace, shape: tuple[int, int], source: Dataset) -> Flip:
    theirs, ours = place.orientation, numbers(source, "ImageOrientationPatient")
    if theirs is None or ours is None or len(ours) != 6 or not _is_plane(ours):
        return Flip()
    # The first vector runs along a row, so along the columns' indices.
    along, down = _sign(theirs[:3], ours[:3]), _sign(theirs[3:], ours[3:])
    if along == down == 1:
        return Flip()
    flip = Flip(rows=down == -1, columns=along == -1)
    if not (along and down and _begins_at_the_far_end(place, shape, source, flip)):
        raise refused(
            "the image's orientation",
            "the segmentation has another",
            "draw it on the image itself",
        )
    return flip


def _begins_at_the_far_end(place: FramePlace, shape: tuple[int, int], source: Dataset, flip: Flip) -> bool:
    """Whether the frame's first pixel lies where the image has its last one along each turned axis."""
    spacing, corner = numbers(source, "PixelSpacing"), numbers(source, "ImagePositionPatient")
    cosines = numbers(source, "ImageOrientationPatient") or ()
    if spacing is None or len(spacing) != 2 or corner is None or len(corner) != 3 or place.position is None:
        return False
    columns = (shape[1] - 1) * spacing[1] if flip.columns else 0.0
    rows = (shape[0] - 1) * spacing[0] if flip.rows else 0.0
    expected = [corner[i] + columns * cosines[i] + rows * cosines[3 + i] for i in range(3)]
    return math.dist(expected, place.position) <= 0.5 * min(spacing)


def _sign(first: Sequence[float], second: Sequence[float]) -> int:
    """1 where two directions are the same, -1 where they are opposite, else 0."""
    if all(abs(a - b) <= _COSINE_TOLERANCE for a, b in zip(first, second, strict=True)):
        return 1
    return -1 if all(abs(a + b) <= _COSINE_TOLERANCE for a, b in zip(first, second, strict=True)) else 0


def _is_plane(cosines: Sequence[float]) -> bool:
    """Whether these are two directions at right angles, which some devices leave at zero."""
    row, column = cosines[:3], cosines[3:]
    return (
        abs(math.hypot(*row) - 1) < 0.01
        and abs(math.hypot(*column) - 1) < 0.01
        and abs(sum(a * b for a, b in zip(row, column, strict=True))) < 0.01
    )


def _close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SPACING_TOLERANCE) for a, b in zip(first, second, strict=True))
