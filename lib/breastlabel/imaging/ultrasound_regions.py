"""What a scanner says of the regions of an ultrasound picture: US Region Calibration, PS3.3 C.8.5.5."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["UltrasoundRegions", "ultrasound_regions"]

_SPATIAL_2D = 1  # Region Spatial Format (0018,6012), C.8.5.5.1.1
_TISSUE = 1  # Region Data Type (0018,6014), C.8.5.5.1.2
_COLOUR_FLOW = 2
_DOPPLER = frozenset({2, 3, 4, 5, 6, 7})  # colour flow, PW and CW spectrum, mean, mode and maximum trace
_CENTIMETRE = 3  # Physical Units X and Y Direction (0018,6024) and (0018,6026)


class UltrasoundRegions(NamedTuple):
    """The regions in short.

    Attributes:
        spacing: (rows, cols) in mm of the 2D tissue picture; None where it is not stated, or where two
            panels differ in it.
        dual_panel: two or more 2D tissue pictures lie side by side.
        doppler: colour flow or a Doppler spectrum is in the picture.
    """

    spacing: tuple[float, float] | None = None
    dual_panel: bool = False
    doppler: bool = False


def ultrasound_regions(dataset: Dataset) -> UltrasoundRegions:
    """Read SequenceOfUltrasoundRegions (0018,6011); what is missing or malformed counts as not stated."""
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or [])
    kinds = [_integer(region, "RegionDataType") for region in regions]
    flat = [
        (region, kind)
        for region, kind in zip(regions, kinds, strict=True)
        if _integer(region, "RegionSpatialFormat") == _SPATIAL_2D and kind in (_TISSUE, _COLOUR_FLOW)
    ]
    tissue = [region for region, kind in flat if kind == _TISSUE] or [region for region, _ in flat]
    spacings = {_spacing(region) for region in tissue}
    return UltrasoundRegions(
        spacing=spacings.pop() if len(spacings) == 1 else None,
        dual_panel=_side_by_side([_box(region) for region in tissue]),
        doppler=any(kind in _DOPPLER for kind in kinds)
        or _integer(dataset, "UltrasoundColorDataPresent") == 1,
    )


_Box = tuple[int, int, int, int]


def _integer(dataset: Dataset, keyword: str) -> int | None:
    try:
        return int(dataset.get(keyword))
    except (TypeError, ValueError):
        return None


def _spacing(region: Dataset) -> tuple[float, float] | None:
    units = (_integer(region, "PhysicalUnitsXDirection"), _integer(region, "PhysicalUnitsYDirection"))
    if units != (_CENTIMETRE, _CENTIMETRE):
        return None
    try:
        # A delta is negative where the physical axis runs against the pixel axis.
        columns, rows = (abs(float(region.get(f"PhysicalDelta{axis}"))) * 10 for axis in "XY")
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(rows) and math.isfinite(columns) and rows > 0 and columns > 0):
        return None
    return float(f"{rows:.9g}"), float(f"{columns:.9g}")


def _box(region: Dataset) -> _Box | None:
    corners = [_integer(region, f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    if None in corners:
        return None
    x0, y0, x1, y1 = (int(value or 0) for value in corners)
    return x0, y0, x1, y1


def _side_by_side(boxes: list[_Box | None]) -> bool:
    """Whether two boxes share no pixel (regions that overlap are one picture described twice)."""
    known = [box for box in boxes if box is not None]
    return any(
        a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
        for index, a in enumerate(known)
        for b in known[index + 1 :]
    )
