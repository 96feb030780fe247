"""Regions as the VGG Image Annotator (VIA 2) exports them to CSV -> boolean masks.

Dutta and Zisserman, "The VIA annotation software for images, audio and video", ACM Multimedia 2019.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidLabelError

__all__ = ["paint_region", "read_region"]


def read_region(text: str) -> Mapping[str, Any] | None:
    """The shape of one row's ``region_shape_attributes``; None where the row has no region.

    Raises:
        InvalidLabelError: it is no JSON object.
    """
    try:
        shape = json.loads(text or "{}")
    except ValueError:
        shape = None
    if not isinstance(shape, dict):
        raise InvalidLabelError("a region in JSON, as VIA writes it, is required; export the regions again")
    return shape or None


def paint_region(mask: npt.NDArray[np.uint8], region: Mapping[str, Any]) -> None:
    """Fill one region (polygon, polyline, circle, ellipse or rectangle) into a mask (rows, cols) with 1.

    A polyline is closed: annotators draw lesions with it. Parts beyond the image are cut off.

    Raises:
        InvalidLabelError: another shape, such as a point, or coordinates that are missing or no numbers.
    """
    kind = region.get("name")
    try:
        if kind in ("polygon", "polyline"):
            points = np.array([_numbers(region["all_points_x"]), _numbers(region["all_points_y"])]).T
            cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
        elif kind in ("circle", "ellipse"):
            centre = (round(_number(region["cx"])), round(_number(region["cy"])))
            radii = [_number(region[k]) for k in (("r", "r") if kind == "circle" else ("rx", "ry"))]
            turned = math.degrees(_number(region.get("theta", 0)))
            axes = (max(1, round(radii[0])), max(1, round(radii[1])))
            cv2.ellipse(mask, centre, axes, turned, 0, 360, 1, cv2.FILLED)
        elif kind == "rect":
            x, y, width, height = (round(_number(region[k])) for k in ("x", "y", "width", "height"))
            cv2.rectangle(mask, (x, y), (x + width, y + height), 1, cv2.FILLED)
        else:
            raise InvalidLabelError(f"a region with an area is required; got a {kind}; outline the lesion")
    except (KeyError, TypeError, ValueError, OverflowError, cv2.error) as error:
        raise InvalidLabelError(
            f"a {kind} with its coordinates is required; a region lacks some; export the regions again"
        ) from error


def _numbers(values: Any) -> list[float]:
    found = [_number(value) for value in values]
    if not found:
        raise ValueError("no points")
    return found


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) < 1e6:
        raise ValueError("not a coordinate")
    return number
