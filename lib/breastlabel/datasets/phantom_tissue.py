"""The healthy breast of an ultrasound phantom: skin, fat, glandular tissue, fascia, muscle, rib.

Maps are in decibel of backscatter relative to bright glandular tissue, over (rows, cols); depths in mm from
the transducer, downwards. The layers and their order of brightness follow Stavros, Breast Ultrasound (2004),
chapter 3: fat is the grey reference, glands and skin are brighter, muscle is striped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Anatomy", "Field", "Tissue", "View", "draw_anatomy", "draw_tissue", "noise", "ridge"]

Field = npt.NDArray[np.float32]


class View(NamedTuple):
    """What the transducer covers: ``shape`` (rows, cols) of square pixels of ``spacing`` mm."""

    shape: tuple[int, int]
    spacing: float

    @property
    def depth(self) -> float:
        """mm."""
        return self.shape[0] * self.spacing

    @property
    def width(self) -> float:
        """mm."""
        return self.shape[1] * self.spacing

    def grid(self) -> tuple[Field, Field]:
        """Depth and lateral position of every pixel's centre in mm, (rows, 1) and (1, cols)."""
        rows = (np.arange(self.shape[0], dtype=np.float32) + 0.5) * self.spacing
        cols = (np.arange(self.shape[1], dtype=np.float32) + 0.5) * self.spacing
        return rows[:, None], cols[None, :]


@dataclass(frozen=True)
class Anatomy:
    """What images of one patient have in common: layer thicknesses in mm, echogenicity in dB."""

    skin: float
    fat: float
    gland: float
    gland_echo: float
    fat_echo: float
    fat_lobules: float


class Tissue(NamedTuple):
    """A slice of tissue, both (rows, cols).

    Attributes:
        echo: backscatter in dB.
        attenuation: round-trip loss in dB per mm beyond what the scanner's time gain makes up for.
    """

    echo: Field
    attenuation: Field


def draw_anatomy(rng: np.random.Generator, depth: float) -> Anatomy:
    """A patient's layers, for pictures about ``depth`` mm deep."""
    return Anatomy(
        skin=float(rng.uniform(0.9, 2.0)),
        fat=float(rng.uniform(0.08, 0.27)) * depth,
        gland=float(rng.uniform(0.32, 0.52)) * depth,
        gland_echo=float(rng.uniform(-8, -2)),
        fat_echo=float(rng.uniform(-18, -13)),
        fat_lobules=float(rng.uniform(0, 1)),
    )


def draw_tissue(rng: np.random.Generator, anatomy: Anatomy, view: View) -> Tissue:
    """One slice through a patient without a lesion, with distractors: fat lobules, ducts, shadows, a rib."""
    z, x = view.grid()
    skin = anatomy.skin + 0.15 * _curve(rng, view, 8)
    fat = skin + np.maximum(1.0, anatomy.fat + 1.0 * _curve(rng, view, 16) + 0.3 * _curve(rng, view, 6))
    gland = fat + np.maximum(4.0, anatomy.gland + 1.1 * _curve(rng, view, 24))
    wavy = z + 0.35 * noise(rng, view, 2.5, 5)

    echo = _gland(rng, anatomy, view)
    echo = _blend(_fat(rng, anatomy, view), echo, wavy - fat, 0.35)
    echo = _blend(_skin(z, skin), echo, z - skin, 0.1)
    echo = _blend(echo, _muscle(rng, view), z - gland, 0.3)
    echo += 15 * ridge((z - gland) / 0.35) * _patchy(rng, view, 9)
    attenuation = np.full(view.shape, rng.uniform(0.0, 0.5), np.float32)
    if rng.random() < 0.3:
        _add_rib(rng, view, echo, attenuation)
    for _ in range(int(rng.integers(0, 3))):
        _add_duct(rng, view, echo, fat, gland)
    _add_contact_loss(rng, view, attenuation)
    return Tissue(echo, attenuation + 0 * x)


def noise(rng: np.random.Generator, view: View, period_z: float, period_x: float) -> Field:
    """A smooth random field with about unit variance and the given periods in mm."""
    rows, cols = view.shape
    step_z, step_x = max(period_z / 2, view.spacing), max(period_x / 2, view.spacing)
    grid = rng.standard_normal((int(view.depth / step_z) + 4, int(view.width / step_x) + 4), np.float32)
    # One node of margin on each side, so that the border is no smoother than the middle.
    full = cv2.resize(
        grid,
        (
            max(cols, int(grid.shape[1] * step_x / view.spacing)),
            max(rows, int(grid.shape[0] * step_z / view.spacing)),
        ),
        interpolation=cv2.INTER_CUBIC,
    )
    top, left = (full.shape[0] - rows) // 2, (full.shape[1] - cols) // 2
    return np.asarray(full[top : top + rows, left : left + cols] * 1.25, np.float32)


def ridge(field: Field) -> Field:
    """1 where the field is 0, falling off within 1: thin bright lines along its zero crossings."""
    return np.asarray(np.exp(-np.square(field)), np.float32)


def _curve(rng: np.random.Generator, view: View, period: float) -> Field:
    """A smooth random function of the lateral position, (1, cols)."""
    return noise(rng, View((1, view.shape[1]), view.spacing), view.spacing, period)


def _patchy(rng: np.random.Generator, view: View, period: float) -> Field:
    """Between 0 and 1: a specular line shows only where it happens to lie across the beam."""
    return np.clip(0.55 + 0.5 * noise(rng, view, period, period), 0, 1)


def _blend(upper: Field, lower: Field, distance: Field, softness: float) -> Field:
    """``upper`` above a boundary, ``lower`` below it; distances in mm, positive below."""
    weight = 1 / (1 + np.exp(np.clip(-distance / softness, -30, 30)))
    return np.asarray(upper + (lower - upper) * weight, np.float32)


def _skin(z: Field, bottom: Field) -> Field:
    entry = 9 * ridge((z - 0.15) / 0.2)
    exit_ = 7 * ridge((z - bottom) / 0.22)
    return np.asarray(-8 + entry + exit_, np.float32)


def _fat(rng: np.random.Generator, anatomy: Anatomy, view: View) -> Field:
    """Grey lobules parted by bright septa, of which the oblique ones are Cooper's ligaments."""
    septa = ridge(noise(rng, view, 3.4, 12) / 0.13) * _patchy(rng, view, 6)
    fine = ridge(noise(rng, view, 2.0, 9) / 0.13) * _patchy(rng, view, 4)
    texture = 1.5 * noise(rng, view, 0.6, 1.5) + 1.5 * noise(rng, view, 3, 5)
    return np.asarray(anatomy.fat_echo + texture + 16 * septa + 9 * fine, np.float32)


def _gland(rng: np.random.Generator, anatomy: Anatomy, view: View) -> Field:
    """Bright, streaked along the skin, with islands of fat between the lobes."""
    streaks = 2.6 * noise(rng, view, 0.9, 4.5) + 2.2 * noise(rng, view, 2.2, 9)
    fibres = 9 * ridge(noise(rng, view, 1.8, 12) / 0.16) * _patchy(rng, view, 6)
    islands = noise(rng, view, 3.5, 8) - (1.5 - 0.8 * anatomy.fat_lobules)
    lobules = (anatomy.fat_echo - anatomy.gland_echo) * np.clip(islands / 0.5, 0, 1)
    return np.asarray(anatomy.gland_echo + streaks + fibres + 0.85 * lobules, np.float32)


def _muscle(rng: np.random.Generator, view: View) -> Field:
    fibres = ridge(noise(rng, view, 1.5, 26) / 0.28) * _patchy(rng, view, 8)
    return np.asarray(-21 + 13 * fibres + 2 * noise(rng, view, 1.5, 8), np.float32)


def _add_rib(rng: np.random.Generator, view: View, echo: Field, attenuation: Field) -> None:
    z, x = view.grid()
    centre, half = rng.uniform(0, view.width), rng.uniform(4, 8)
    arc = view.depth * rng.uniform(0.84, 0.95) + (x - centre) ** 2 / (3.0 * half)
    inside = np.abs(x - centre) < half
    echo += 17 * ridge((z - arc) / 0.4) * inside
    attenuation += np.where(inside & (z > arc + 0.3), 6.0, 0.0).astype(np.float32)


def _add_duct(rng: np.random.Generator, view: View, echo: Field, top: Field, bottom: Field) -> None:
    """A thin dark tube along the layers: dark as a cyst, but never as tall as a mass."""
    z, x = view.grid()
    centre_x, length = rng.uniform(0, view.width), rng.uniform(2, 5)
    centre_z = top + (bottom - top) * rng.uniform(0.2, 0.8) + rng.uniform(-0.25, 0.25) * (x - centre_x)
    inside = ((z - centre_z) / rng.uniform(0.3, 0.6)) ** 2 + ((x - centre_x) / length) ** 2
    echo -= 13 * np.exp(-np.minimum(inside**2, 30))


def _add_contact_loss(rng: np.random.Generator, view: View, attenuation: Field) -> None:
    """Dark columns: poor contact at the picture's edge, or the shadow of a ligament that runs steeply."""
    z, x = view.grid()
    if rng.random() < 0.35:
        edge = 0.0 if rng.random() < 0.5 else view.width
        reach = view.width * rng.uniform(0.04, 0.14)
        attenuation += rng.uniform(0.4, 1.3) * np.exp(-(((x - edge) / reach) ** 2)) * (z > 1)
    for _ in range(int(rng.integers(0, 3))):
        centre = rng.uniform(0, view.width) + rng.uniform(-0.15, 0.15) * z
        start = rng.uniform(0.1, 0.5) * view.depth
        attenuation += (
            rng.uniform(0.1, 0.45) * np.exp(-(((x - centre) / rng.uniform(0.5, 1.6)) ** 2)) * (z > start)
        )
