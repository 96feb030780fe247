"""Regions as OsiriX exports them to XML, an Apple property list -> polygons and points.

Rosset, Spadola and Ratib, "OsiriX: an open-source software for navigating in multidimensional DICOM images",
Journal of Digital Imaging 17 (2004) 205.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidLabelError

__all__ = ["OsirixRegion", "paint_osirix_region", "read_osirix_regions"]

#: An image has tens of outlines of hundreds of points at most: far less text than this.
_MAX_BYTES = 50_000_000
_NUMBER = r"-?\d{1,6}(?:\.\d{1,20})?(?:e-\d{1,2})?"
_POINT = re.compile(rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)", re.IGNORECASE)
#: What plistlib and its parser raise over damaged files; entities are refused by plistlib itself.
_UNREADABLE = (
    OSError,
    ValueError,
    ExpatError,
    AttributeError,
    LookupError,
    TypeError,
    OverflowError,
)


@dataclass(frozen=True)
class OsirixRegion:
    """One region.

    Attributes:
        name: as the reader typed it; empty where it has none.
        points: (column, row) in pixels from the centre of the first one; at least one.
    """

    name: str
    points: tuple[tuple[float, float], ...]


def read_osirix_regions(path: Path) -> list[OsirixRegion]:
    """The regions of an image, those without points left out.

    Raises:
        InvalidLabelError: it is no property list with regions, or a point is no pair of numbers.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        with path.open("rb") as file:
            images = plistlib.load(file, fmt=plistlib.FMT_XML)["Images"]
        regions = [_region(region) for image in images for region in image["ROIs"]]
    except _UNREADABLE as error:
        raise InvalidLabelError(
            f"regions in XML, as OsiriX writes them, are required; {path.name} has none that can be read "
            f"({type(error).__name__}); copy the file again"
        ) from error
    return [region for region in regions if region.points]


def paint_osirix_region(
    mask: npt.NDArray[np.uint8], points: Sequence[tuple[float, float]], *, radius: int
) -> None:
    """Fill a region into a mask (rows, cols) with 1; parts beyond the image are cut off.

    Args:
        points: (column, row) of a polygon's corners; of one or two points, each gets a disc.
        radius: of such a disc, in pixels.
    """
    corners = np.rint(np.asarray(points, np.float64)).astype(np.int32)
    if len(corners) > 2:
        cv2.fillPoly(mask, [corners], 1)
        return
    for column, row in corners.tolist():
        cv2.circle(mask, (column, row), radius, 1, cv2.FILLED)


def _region(region: dict[str, Any]) -> OsirixRegion:
    points = []
    for text in region.get("Point_px") or ():
        match = _POINT.fullmatch(str(text).strip())
        if match is None:
            raise ValueError("not a point")
        points.append((float(match[1]), float(match[2])))
    return OsirixRegion(str(region.get("Name") or "").strip(), tuple(points))
