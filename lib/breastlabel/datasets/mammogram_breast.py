"""The breast of a mammography phantom: a simple solid, and how CC and MLO project it.

A place in the breast is (behind, lateral, up) in mm: behind the nipple, towards the armpit's side, and
upwards. Craniocaudal (CC) looks down: it shows ``lateral`` and hides ``up``. Mediolateral oblique (MLO) looks
along the pectoral muscle, at 40 to 55 degrees: it shows ``up`` and ``lateral`` in one, ``up * cos + lateral *
sin``, so that the upper outer quadrant comes to lie towards the armpit. Both show ``behind``, the distance by
which radiologists match a lesion between views.

In a picture, ``u`` is the distance from the chest wall in mm, and ``v`` the distance above the nipple line,
where above means lateral in CC. Pictures are made with the chest wall at the left, as a left breast is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.imaging.vocabulary import Density, ViewPosition

__all__ = ["EXTENT", "Breast", "Field", "Frame", "Place", "Projection", "draw_breast"]

Field = npt.NDArray[np.float32]

EXTENT = 300.0
"""Every breast lies within u of 0 to EXTENT and v of -EXTENT / 2 to EXTENT / 2 (mm)."""


class Place(NamedTuple):
    """A point in the breast, in mm from the nipple."""

    behind: float
    lateral: float
    up: float


@dataclass(frozen=True)
class Breast:
    """A breast under compression; lengths in mm.

    Attributes:
        depth: nipple to chest wall in CC.
        oblique_depth: nipple to the picture's edge in MLO, which takes in more of the chest wall.
        lateral: half width on the outer side, in CC.
        medial: half width on the inner side, in CC.
        lower: nipple line to the fold below the breast, in MLO.
        axilla: how far the skin is from the edge at the top of an MLO picture, as a share of the depth.
        muscle_width: of the pectoral muscle at the top of an MLO picture.
        muscle_end: where the muscle meets the edge, above the nipple line if positive.
        obliquity: of MLO, in radians.
        density: after ACR BI-RADS.
        gland_shift: of the gland's centre, lateral and up.
    """

    depth: float
    oblique_depth: float
    lateral: float
    medial: float
    lower: float
    axilla: float
    muscle_width: float
    muscle_end: float
    obliquity: float
    density: Density
    gland_shift: tuple[float, float]


def draw_breast(of_patient: np.random.Generator, of_side: np.random.Generator, density: Density) -> Breast:
    """A breast of a patient: the two sides are alike and never equal."""
    size = of_patient.uniform(0.0, 1.0)
    like = of_side.normal(1.0, 0.025, 6)
    depth = (74 + 46 * size) * like[0]
    return Breast(
        depth=float(depth),
        oblique_depth=float(depth * of_patient.uniform(1.03, 1.12) * like[5]),
        lateral=float((70 + 30 * size) * like[1]),
        medial=float((64 + 28 * size) * like[2]),
        lower=float((62 + 24 * size) * like[3]),
        axilla=float(of_patient.uniform(0.45, 0.62)),
        muscle_width=float(np.clip(of_patient.uniform(0.42, 0.62) * depth, 32, 58) * like[4]),
        muscle_end=float(of_side.uniform(-12, 30)),
        obliquity=float(np.deg2rad(of_patient.uniform(40, 55))),
        density=density,
        gland_shift=(float(of_side.uniform(2, 12)), float(of_side.uniform(0, 12))),
    )


@dataclass(frozen=True)
class Projection:
    """What one view shows of a breast."""

    breast: Breast
    view: ViewPosition

    @property
    def depth(self) -> float:
        """``u`` of the nipple's base, mm."""
        return self.breast.oblique_depth if self.view is ViewPosition.MLO else self.breast.depth

    def project(self, place: Place) -> tuple[float, float]:
        """(u, v) of a point."""
        if self.view is ViewPosition.CC:
            return self.depth - place.behind, place.lateral
        angle = self.breast.obliquity
        return self.depth - place.behind, float(place.up * np.cos(angle) + place.lateral * np.sin(angle))

    def skin(self, v: Field, *, top: float) -> Field:
        """``u`` of the skin at each ``v``; negative beyond it. ``top`` is the picture's upper edge."""
        breast = self.breast
        if self.view is ViewPosition.CC:
            share = np.abs(v) / np.where(v > 0, breast.lateral, breast.medial)
            u = self.depth * np.maximum(1 - share**2.3, 0) ** 0.55
            u = np.where(share >= 1, -5, u)
        else:
            rise = np.clip(v / top, 0, 1.3)
            above = self.depth * (1 - (1 - breast.axilla) * (1 - np.cos(np.pi * np.minimum(rise, 1))) / 2)
            share = np.clip(-v / breast.lower, 0, 1)
            below = self.depth * (1 - share**2.2) ** 0.6
            abdomen = 0.1 * self.depth + 0.06 * np.maximum(-v - breast.lower, 0)
            u = np.where(v >= 0, above, np.maximum(below, abdomen))
        nipple = 6.0 * np.exp(-((v / 4.2) ** 4))
        return np.asarray(u + nipple, np.float32)

    def muscle(self, v: Field, *, top: float) -> Field:
        """``u`` of the pectoral muscle's edge at each ``v``; negative where there is none (always in CC)."""
        if self.view is not ViewPosition.MLO:
            return np.full_like(v, -10)
        breast = self.breast
        share = (v - breast.muscle_end) / (top - breast.muscle_end)
        bulge = 0.12 * np.sin(np.pi * np.clip(share, 0, 1))
        return np.asarray(breast.muscle_width * (share + bulge), np.float32)


@dataclass(frozen=True)
class Frame:
    """The picture's pixels, and where they lie over a projection.

    Attributes:
        shape: (rows, cols).
        spacing: mm, of square pixels.
        nipple_row: mm from the upper edge to the nipple line.
        depth: ``u`` of the nipple, about which the breast is turned.
        turn: how much the breast is turned against its usual place, in radians.
        scale: how much wider it is pressed.
        shift: how much further it is pulled onto the detector, mm.
    """

    shape: tuple[int, int]
    spacing: float
    nipple_row: float
    depth: float
    turn: float = 0.0
    scale: float = 1.0
    shift: float = 0.0

    @property
    def top(self) -> float:
        """``v`` of the picture's upper edge at the nipple."""
        return self.nipple_row / self.scale

    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 3): (col, row, 1) -> (u, v)."""
        s, d = self.spacing, self.depth
        # To mm about the nipple, then turned and scaled, then back.
        about = np.array([[s, 0, 0.5 * s - self.shift - d], [0, -s, self.nipple_row - 0.5 * s]])
        cos, sin = np.cos(self.turn) / self.scale, np.sin(self.turn) / self.scale
        turned = np.array([[cos, -sin], [sin, cos]]) @ about
        turned[0, 2] += d
        return np.asarray(turned)

    def grid(self, window: tuple[slice, slice] | None = None) -> tuple[Field, Field]:
        """``u`` and ``v`` of the pixels of a window (rows, cols); by default of all."""
        rows, cols = window or (slice(0, self.shape[0]), slice(0, self.shape[1]))
        m = self.matrix().astype(np.float32)
        row = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        col = np.arange(cols.start, cols.stop, dtype=np.float32)[None, :]
        u, v = (m[i, 0] * col + m[i, 1] * row + m[i, 2] for i in range(2))
        return u, v

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """(row, col) of a point."""
        m = self.matrix()
        col, row = np.linalg.solve(m[:, :2], np.array([u, v]) - m[:, 2])
        return float(row), float(col)

    def coarser(self, factor: int) -> Frame:
        """The same in pixels that many times as large, which may reach beyond the lower and right edge."""
        rows, cols = (-(-size // factor) for size in self.shape)
        return replace(self, shape=(rows, cols), spacing=self.spacing * factor)

    def enlarged(self, field: Field, factor: int) -> Field:
        """A smooth field of a `coarser` frame, in this one's pixels."""
        if factor == 1:
            return field
        rows, cols = field.shape
        large = cv2.resize(field, (cols * factor, rows * factor), interpolation=cv2.INTER_CUBIC)
        return np.asarray(large[: self.shape[0], : self.shape[1]], np.float32)

    def window(self, u: float, v: float, reach: float) -> tuple[slice, slice]:
        """The pixels within ``reach`` mm of a point, in a square; at least one pixel."""
        row, col = self.pixel(u, v)
        half = reach * self.scale / self.spacing + 1

        def part(centre: float, size: int) -> slice:
            start = int(np.clip(np.floor(centre - half), 0, size - 1))
            return slice(start, int(np.clip(np.ceil(centre + half) + 1, start + 1, size)))

        return part(row, self.shape[0]), part(col, self.shape[1])

    def sample(
        self, grid: Field, *, origin: tuple[float, float], step: tuple[float, float], repeat: bool = False
    ) -> Field:
        """A field given on nodes (along v, along u), ``step`` mm apart from ``origin`` (v, u) on.

        Args:
            repeat: whether the field begins anew beyond its nodes.
        """
        m = self.matrix()
        to_nodes = np.stack([(m[0] - [0, 0, origin[1]]) / step[1], (m[1] - [0, 0, origin[0]]) / step[0]])
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
        border = cv2.BORDER_WRAP if repeat else cv2.BORDER_REFLECT_101
        rows, cols = self.shape
        seen = cv2.warpAffine(grid, to_nodes, (cols, rows), flags=flags, borderMode=border)
        return np.asarray(seen, np.float32)
