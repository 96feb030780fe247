"""How the findings of a mammography phantom look in one view: masses, calcifications, distortions."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.datasets.mammogram_breast import Field, Frame, Place, Projection
from breastlabel.datasets.mammogram_finding import Finding, FindingType
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import ViewPosition

__all__ = ["add_coarse_calcifications", "add_finding"]

_ANGLES = np.linspace(-np.pi, np.pi, 256, endpoint=False)


class _Patch(NamedTuple):
    """The pixels about a finding, in polar coordinates (mm, radians) about it; x along u, y along v."""

    window: tuple[slice, slice]
    x: Field
    y: Field
    radius: Field
    angle: Field
    spacing: float


def add_finding(
    attenuation: Field, mask: LabelArray, finding: Finding, projection: Projection, frame: Frame
) -> None:
    """Draw a finding over one view, in place; a lesion is painted into the label map with its class.

    A view that does not show the finding stays as it is.
    """
    if projection.view not in finding.suspicion:
        return
    suspicion = finding.suspicion[projection.view]
    left = 1.0
    if finding.masked is not None and finding.masked[0] is projection.view:
        left = finding.masked[1]
    centre = projection.project(finding.place)
    axes = finding.half_axes(projection)
    patch = _patch(frame, centre, 3.2 * max(axes) + 8)
    rng = np.random.default_rng([*finding.seed, 1 + list(ViewPosition).index(projection.view)])
    if finding.kind is FindingType.CALCIFICATION:
        added, region = _calcifications(finding, projection, frame, patch, suspicion)
    elif finding.kind is FindingType.DISTORTION:
        added, region = _distortion(rng, axes, finding.contrast, patch, suspicion)
    else:
        added, region = _mass(rng, axes, finding.contrast, patch, suspicion)
    if left < 1:
        added = left * added + _veil(rng, patch, 1.25 * max(axes) + 3)
    window = patch.window
    breast = attenuation[window] > 0
    attenuation[window] += np.where(breast, added, 0).astype(np.float32)
    if finding.label:
        mask[window][region & breast] = finding.label


def add_coarse_calcifications(
    attenuation: Field, projection: Projection, frame: Frame, seed: tuple[int, ...]
) -> None:
    """Scattered coarse round calcifications, which are benign and no finding; in a third of the breasts."""
    rng = np.random.default_rng([*seed, 301])
    if rng.random() >= 1 / 3:
        return
    depth, breast = projection.breast.depth, projection.breast
    for _ in range(int(rng.integers(1, 7))):
        behind = rng.uniform(0.2, 0.9) * depth
        place = Place(behind, rng.uniform(-0.5, 0.5) * breast.medial, rng.uniform(-0.5, 0.5) * breast.lower)
        patch = _patch(frame, projection.project(place), 3.0)
        grain = _grain(patch.x, patch.y, rng.uniform(0.7, 1.3), 1.0, 0.0, patch.spacing)
        inside = attenuation[patch.window] > 0.2
        attenuation[patch.window] += np.where(inside, rng.uniform(0.3, 0.5) * grain, 0).astype(np.float32)


def _veil(rng: np.random.Generator, patch: _Patch, reach: float) -> Field:
    """Dense tissue over a lesion, wider than the lesion and soft."""
    veil = np.zeros(patch.radius.shape, np.float32)
    for _ in range(4):
        x, y = rng.normal(0, 0.35 * reach, 2)
        veil += np.exp(-(np.hypot((patch.x - x) * rng.uniform(0.8, 1.6), patch.y - y) ** 2) / reach**2)
    return np.asarray(0.07 * veil, np.float32)


def _patch(frame: Frame, centre: tuple[float, float], reach: float) -> _Patch:
    window = frame.window(*centre, reach)
    u, v = frame.grid(window)
    x, y = u - np.float32(centre[0]), v - np.float32(centre[1])
    return _Patch(window, x, y, np.hypot(x, y), np.arctan2(y, x), frame.spacing)


def _curve(table: npt.NDArray[np.float64], angle: Field) -> Field:
    """Values given at `_ANGLES`, at other angles."""
    position = (angle + np.pi) / (2 * np.pi) * len(table)
    return np.interp(position, np.arange(len(table) + 1), np.append(table, table[0])).astype(np.float32)


def _outline(
    rng: np.random.Generator, axes: tuple[float, float], suspicion: float
) -> npt.NDArray[np.float64]:
    """Radii in mm at `_ANGLES`: oval or gently lobulated to irregular."""
    a, b = axes
    tilt = rng.uniform(-0.5, 0.5)
    radii = a * b / np.hypot(b * np.cos(_ANGLES - tilt), a * np.sin(_ANGLES - tilt))
    lobes = rng.uniform(0, 0.10) * (rng.random() < 0.4)
    radii = radii * (1 + lobes * np.cos(rng.integers(3, 6) * _ANGLES + rng.uniform(0, 6)))
    rough = 0.015 + 0.22 * max(suspicion - 0.25, 0)
    for order in range(2, 12):
        radii = radii * (1 + rng.normal(0, rough / order**0.6) * np.cos(order * _ANGLES + rng.uniform(0, 7)))
    return np.asarray(np.clip(radii, 0.45 * min(axes), 1.6 * max(axes)))


def _rays(
    rng: np.random.Generator, patch: _Patch, start: Field, *, count: int, reach: float, width: float
) -> Field:
    """Lines that radiate from ``start`` (mm at each pixel's angle) outwards and fade over ``reach`` mm."""
    total = np.zeros(patch.radius.shape, np.float32)
    outside = patch.radius - start
    for direction in np.linspace(0, 2 * np.pi, max(count, 1), endpoint=False)[:count]:
        turned = (
            patch.angle - (direction + rng.normal(0, 0.5 * np.pi / count)) + rng.normal(0, 0.02) * outside
        )
        off = np.sin(turned) * patch.radius
        wide = max(width * rng.uniform(0.7, 1.4), 0.55 * patch.spacing)
        along = np.exp(-np.maximum(outside, 0) / (reach * rng.uniform(0.6, 1.4))) * (outside > -1.5)
        total = np.maximum(total, np.exp(-((off / wide) ** 2)) * along * (np.cos(turned) > 0))
    return total


def _mass(
    rng: np.random.Generator, axes: tuple[float, float], contrast: float, patch: _Patch, suspicion: float
) -> tuple[Field, npt.NDArray[np.bool_]]:
    radii = _curve(_outline(rng, axes, suspicion), patch.angle)
    depth = radii - patch.radius
    soft = max(0.35 + 2.2 * max(suspicion - 0.2, 0) * rng.uniform(0.5, 1.2), 0.4 * patch.spacing)
    inner = 1 / (1 + np.exp(np.clip(-depth / soft, -30, 30)))
    dome = np.sqrt(np.clip(1 - (patch.radius / radii) ** 2, 0, 1))
    added = contrast * inner * (0.62 + 0.45 * dome)
    # Mach effect: a thin dark line along a sharp margin.
    added -= 0.25 * contrast * (1 - suspicion) * np.exp(-(((depth + 1.2) / 1.0) ** 2))
    if suspicion > 0.5:
        size = float(np.mean(axes))
        count = round(6 + 34 * (suspicion - 0.5))
        rays = _rays(rng, patch, 0.9 * radii, count=count, reach=0.55 * size, width=0.40)
        added += (0.25 + 0.5 * suspicion) * contrast * rays
    return np.asarray(added, np.float32), _never_empty(depth >= 0, patch)


def _distortion(
    rng: np.random.Generator, axes: tuple[float, float], contrast: float, patch: _Patch, suspicion: float
) -> tuple[Field, npt.NDArray[np.bool_]]:
    size = float(np.mean(axes))
    start = np.full(patch.radius.shape, 0.1 * size, np.float32)
    rays = _rays(rng, patch, start, count=round(9 + 9 * suspicion), reach=0.75 * size, width=0.48)
    centre = np.exp(-((patch.radius / (0.35 * size)) ** 2))
    pulled = np.exp(-((patch.radius / (0.9 * size)) ** 2))
    added = 1.2 * contrast * (0.85 * rays + (0.9 * suspicion - 0.4) * centre - 0.22 * pulled)
    return np.asarray(added, np.float32), _never_empty(
        patch.radius <= _curve(_ellipse(axes), patch.angle), patch
    )


def _ellipse(axes: tuple[float, float]) -> npt.NDArray[np.float64]:
    a, b = axes
    return np.asarray(a * b / np.hypot(b * np.cos(_ANGLES), a * np.sin(_ANGLES)))


def _calcifications(
    finding: Finding, projection: Projection, frame: Frame, patch: _Patch, suspicion: float
) -> tuple[Field, npt.NDArray[np.bool_]]:
    """The same grains in both views; sizes and shapes by what this view shows of the suspicion."""
    rng = np.random.default_rng([*finding.seed, 302])
    count = int(rng.integers(8, 26))
    offsets = rng.normal(0, 0.42, (count, 3)).clip(-1, 1) * np.array(finding.radii)
    # A duct's calcifications lie along the way to the nipple.
    offsets[:, 1:] *= 1 - 0.5 * max(suspicion - 0.4, 0)
    variety = rng.normal(0, 1, (count, 3))
    shown = max(4, round(count * finding.share))
    added = np.zeros(patch.radius.shape, np.float32)
    centre = projection.project(finding.place)
    points = []
    for offset, (size, strength, shape) in zip(offsets[:shown], variety[:shown], strict=True):
        u, v = projection.project(Place(*(np.array(finding.place) + offset)))
        x, y = patch.x - np.float32(u - centre[0]), patch.y - np.float32(v - centre[1])
        diameter = np.clip(0.62 - 0.22 * suspicion + size * 0.30 * suspicion**1.5, 0.18, 1.0)
        amount = np.clip(0.42 + strength * 0.26 * suspicion, 0.14, 0.8)
        long = 1 + 3.0 * max(suspicion - 0.45, 0) * abs(shape)
        added = np.maximum(added, amount * _grain(x, y, diameter, long, 0.6 * shape, patch.spacing))
        points.append(frame.pixel(u, v))
    # A faint density surrounds most clusters.
    haze = 0.25 * finding.contrast * np.exp(-((patch.radius / max(finding.radii)) ** 2))
    return np.asarray(added + haze, np.float32), _hull(points, patch, margin=1.6)


def _grain(x: Field, y: Field, diameter: float, long: float, tilt: float, spacing: float) -> Field:
    """A grain of peak 1; below a pixel it is drawn as wide as one, and fainter, but never out of sight."""
    narrow = max(diameter / 2, 0.5 * spacing)
    wide = max(diameter / 2 * long, 0.5 * spacing)
    along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    faint = np.clip(diameter / spacing, 0.6, 1.0)
    return np.asarray(faint * np.exp(-((along / wide) ** 2) - (across / narrow) ** 2), np.float32)


def _hull(points: list[tuple[float, float]], patch: _Patch, *, margin: float) -> npt.NDArray[np.bool_]:
    """The convex hull of points (row, col) of the picture, ``margin`` mm wider."""
    rows, cols = patch.window
    local = np.array([(col - cols.start, row - rows.start) for row, col in points], np.float32)
    canvas = np.ones(patch.radius.shape, np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(local * 16).astype(np.int32)), 0, cv2.LINE_8, 4)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, 5) * patch.spacing
    return _never_empty(distance <= margin, patch)


def _never_empty(region: npt.NDArray[np.bool_], patch: _Patch) -> npt.NDArray[np.bool_]:
    """The region, and the pixel at the centre, so that a small lesion on large pixels keeps one."""
    return np.asarray(region | (patch.radius <= patch.radius.min()))
