"""Diameters of a region whose pixels are rectangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

__all__ = ["feret_diameters"]


def feret_diameters(
    region: npt.NDArray[np.bool_], *, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float]:
    """Maximum and minimum Feret (caliper) diameter of a region.

    Both are exact for the union of the region's pixels, each a rectangle of ``spacing``: the greatest
    distance between two vertices of the convex hull, and the least width of the hull over the
    directions of its edges, one of which always attains it (Freeman and Shapira, CACM 18 (1975) 409).

    Args:
        region: (rows, cols), at least one pixel.
        spacing: (between rows, between columns).

    Returns:
        (longest, shortest), in the spacing's unit.
    """
    hull = _hull(region) * np.asarray(spacing, dtype=np.float64)
    longest = float(pdist(hull).max())
    edges = np.roll(hull, -1, axis=0) - hull
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    along = hull @ normals.T
    shortest = float((along.max(axis=0) - along.min(axis=0)).min())
    return longest, shortest


def _hull(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Vertices (n, 2) of the convex hull of all pixels' corners, in order around it, in pixels."""
    rows = np.flatnonzero(region.any(axis=1))
    inside = region[rows]
    first = inside.argmax(axis=1)
    last = region.shape[1] - inside[:, ::-1].argmax(axis=1)
    # Only a row's outermost corners can lie on the hull.
    corners = np.concatenate(
        [np.stack([edge, side], axis=1) for edge in (rows, rows + 1) for side in (first, last)]
    ).astype(np.float64)
    return np.asarray(corners[ConvexHull(corners).vertices])
