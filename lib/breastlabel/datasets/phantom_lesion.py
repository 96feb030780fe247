"""Lesions for ultrasound phantoms, after the BI-RADS ultrasound lexicon (ACR, 5th edition, 2013).

Benign: oval, parallel to the skin, circumscribed, anechoic (cyst) or evenly hypoechoic (fibroadenoma), with
enhancement behind. Malignant: irregular, often taller than wide, indistinct or spiculated, uneven, with an
echogenic rim and a shadow behind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.datasets.phantom_tissue import Field, Tissue, View, noise, ridge
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["add_lesion"]


class _Outline(NamedTuple):
    """A closed curve around (depth, lateral) in mm: radius = radii[angle], angles evenly spaced."""

    centre: tuple[float, float]
    radii: npt.NDArray[np.float64]


def add_lesion(
    rng: np.random.Generator, tissue: Tissue, view: View, label: LesionClass
) -> tuple[Tissue, npt.NDArray[np.bool_]]:
    """The tissue with a lesion of the class, and where it lies (rows, cols)."""
    outline = _malignant_outline(rng, view) if label is LesionClass.MALIGNANT else _benign_outline(rng, view)
    distance, angle = _distance(outline, view)
    if label is LesionClass.MALIGNANT:
        changed = _malignant(rng, tissue, view, outline, distance, angle)
    else:
        changed = _benign(rng, tissue, view, outline, distance)
    return changed, distance <= 0


def _distance(outline: _Outline, view: View) -> tuple[Field, Field]:
    """Radial distance to the curve in mm (negative inside), and the angle about the centre."""
    z, x = view.grid()
    dz, dx = z - outline.centre[0], x - outline.centre[1]
    angle = np.arctan2(dz, dx)
    table = np.append(outline.radii, outline.radii[0])
    position = (angle + np.pi) / (2 * np.pi) * (len(table) - 1)
    radius = np.interp(position, np.arange(len(table)), table)
    return np.asarray(np.hypot(dz, dx) - radius, np.float32), np.asarray(angle, np.float32)


_ANGLES = np.linspace(-np.pi, np.pi, 256, endpoint=False)


def _ellipse(half_width: float, half_height: float, tilt: float) -> npt.NDArray[np.float64]:
    turned = _ANGLES - tilt
    return np.asarray(
        half_width * half_height / np.hypot(half_height * np.cos(turned), half_width * np.sin(turned))
    )


def _place(
    rng: np.random.Generator, view: View, half_width: float, half_height: float
) -> tuple[float, float]:
    """A centre, (depth, lateral) in mm, such that the lesion lies below the skin and within the picture."""
    low, high = half_height + 0.1 * view.depth, view.depth * 0.86 - half_height
    left, right = half_width + 0.03 * view.width, view.width * 0.97 - half_width
    depth = low + (max(high, low) - low) * rng.beta(1.4, 1.9)
    return float(depth), float(rng.uniform(left, max(left, right)))


def _benign_outline(rng: np.random.Generator, view: View) -> _Outline:
    half_width = rng.uniform(0.075, 0.21) * min(view.width, 1.4 * view.depth)
    half_height = half_width / rng.uniform(1.25, 2.2)
    radii = _ellipse(half_width, half_height, rng.normal(0, 0.14))
    for order in (2, 3, 4):  # at most gently lobulated
        radii = radii * (1 + rng.normal(0, 0.022) * np.cos(order * _ANGLES + rng.uniform(0, 2 * np.pi)))
    return _Outline(_place(rng, view, half_width, half_height), radii)


def _malignant_outline(rng: np.random.Generator, view: View) -> _Outline:
    half_width = rng.uniform(0.08, 0.19) * min(view.width, 1.2 * view.depth)
    half_height = min(half_width * rng.uniform(0.75, 1.45), 0.3 * view.depth)
    radii = _ellipse(half_width, half_height, rng.normal(0, 0.35))
    for order in range(2, 10):
        radii = radii * (
            1 + rng.normal(0, 0.13 / np.sqrt(order)) * np.cos(order * _ANGLES + rng.uniform(0, 7))
        )
    for angle in rng.uniform(-np.pi, np.pi, rng.integers(3, 9)):  # angular margins
        turned = np.angle(np.exp(1j * (_ANGLES - angle)))
        radii = radii * (1 + rng.uniform(0.1, 0.32) * np.exp(-np.abs(turned) / 0.16))
    return _Outline(_place(rng, view, half_width, half_height), radii)


def _inside(distance: Field, softness: float) -> Field:
    return np.asarray(1 / (1 + np.exp(np.clip(distance / softness, -30, 30))), np.float32)


def _benign(
    rng: np.random.Generator, tissue: Tissue, view: View, outline: _Outline, distance: Field
) -> Tissue:
    cyst = rng.random() < 0.35
    level = rng.uniform(-44, -36) if cyst else rng.uniform(-27, -20)
    inner = level + rng.uniform(0.6, 1.6) * noise(rng, view, 2.0, 3.0)
    weight = _inside(distance, 0.13)
    echo = tissue.echo + (inner - tissue.echo) * weight
    # The capsule reflects where it lies across the beam: at the top and at the bottom.
    z, x = view.grid()
    across = np.abs(z - outline.centre[0]) / (np.hypot(z - outline.centre[0], x - outline.centre[1]) + 1e-3)
    echo += rng.uniform(3, 8) * ridge((distance - 0.25) / 0.3) * across**3
    enhancement = rng.uniform(0.9, 1.7) if cyst else rng.uniform(0.2, 1.1)
    attenuation = tissue.attenuation * (1 - weight) - enhancement * weight
    # Refraction at the flanks throws two thin shadows.
    flank = np.abs(np.abs(x - outline.centre[1]) - float(outline.radii[[0, 128]].mean()))
    behind = z > outline.centre[0]
    attenuation = attenuation + rng.uniform(0, 0.5) * np.exp(-((flank / 0.4) ** 2)) * behind
    return Tissue(np.asarray(echo, np.float32), np.asarray(attenuation, np.float32))


def _malignant(
    rng: np.random.Generator, tissue: Tissue, view: View, outline: _Outline, distance: Field, angle: Field
) -> Tissue:
    softness = rng.uniform(0.2, 0.5)
    ragged = distance + 0.3 * noise(rng, view, 0.9, 0.9)
    weight = _inside(ragged, softness)
    inner = rng.uniform(-28, -20) + 3.0 * noise(rng, view, 1.8, 2.2) + 2.0 * noise(rng, view, 4, 4)
    rim = rng.uniform(3, 9) * ridge((distance - 1.1) / 0.9) * (0.7 + 0.3 * noise(rng, view, 3, 3))
    echo = tissue.echo + rim
    echo = echo + (inner - echo) * weight
    if rng.random() < 0.6:  # spicules: dark lines that pull the surrounding tissue towards the mass
        reach = rng.uniform(1.5, 4.0)
        for direction in rng.uniform(-np.pi, np.pi, rng.integers(6, 14)):
            off = np.abs(np.angle(np.exp(1j * (angle - direction)))) * (distance + outline.radii.mean())
            line = np.exp(-((off / 0.3) ** 2)) * np.exp(-np.maximum(distance, 0) / reach) * (distance > -0.5)
            echo = echo - rng.uniform(5, 10) * line
    if rng.random() < 0.4:
        _add_calcifications(rng, view, distance, echo)
    shadow = rng.uniform(0.9, 3.4) if rng.random() < 0.85 else rng.uniform(-0.3, 0.3)
    attenuation = tissue.attenuation + shadow * weight
    return Tissue(np.asarray(echo, np.float32), np.asarray(attenuation, np.float32))


def _add_calcifications(rng: np.random.Generator, view: View, distance: Field, echo: Field) -> None:
    rows, cols = np.nonzero(distance < -0.6)
    if not len(rows):
        return
    z, x = view.grid()
    for index in rng.integers(0, len(rows), rng.integers(2, 7)):
        z0, x0 = float(z[rows[index], 0]), float(x[0, cols[index]])
        echo += 17 * np.exp(-(((z - z0) / 0.12) ** 2) - ((x - x0) / 0.16) ** 2)
