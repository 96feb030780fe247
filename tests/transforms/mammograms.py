"""Mammograms drawn by hand: a half ellipse of tissue at the chest wall, whatever else asked."""

from __future__ import annotations

import numpy as np


def mammogram(
    shape: tuple[int, int] = (240, 180), *, right: bool = False, muscle: bool = False, label: bool = False
) -> np.ndarray:
    """Float32 (rows, cols): dark around 20, tissue around 400 to 900, all of it left of 0.6 of the width."""
    rows, cols = shape
    y, x = (np.mgrid[:rows, :cols] + 0.5) / np.array(shape)[:, None, None]
    distance = ((y - 0.5) / 0.42) ** 2 + (x / 0.55) ** 2
    rng = np.random.default_rng(3)
    image = 20 + 3 * rng.standard_normal(shape)
    tissue = distance < 1
    image[tissue] = (400 + 300 * (1 - distance) + 15 * rng.standard_normal(shape))[tissue]
    if muscle:
        image[tissue & (x / 0.3 + y / 0.55 < 1)] = 1100
    if label:
        image[round(0.05 * rows) : round(0.12 * rows), round(0.75 * cols) : round(0.95 * cols)] = 1500
        image[-max(2, rows // 60) :] = 1500
    image = image.astype(np.float32)
    return image[:, ::-1].copy() if right else image


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Label map (rows, cols) of 2 within a radius, centre and radius as shares of the rows and columns."""
    rows, cols = shape
    y, x = (np.mgrid[:rows, :cols] + 0.5) / np.array(shape)[:, None, None]
    return (2 * (((y - centre[0]) ** 2 + (x - centre[1]) ** 2) <= radius**2)).astype(np.uint8)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two boolean maps."""
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())
