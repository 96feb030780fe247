"""Hand-made features of a region: texture, shape, density and contrast (P2, "Feature extraction").

What CAD systems read off a lesion before networks did, and what the support vector machine and the random
forest are given (`breastlabel.evaluation.cad_baselines`). Lengths are in pixels unless the spacing is known,
so features are only to be compared between images of one preparation.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import FloatArray
from breastlabel.inference.morphology import BoolArray

__all__ = ["FEATURE_NAMES", "lesion_features"]

_LEVELS = 16
_DISTANCES = (1, 3)
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")

TEXTURE: tuple[str, ...] = (
    *(f"glcm_{name}_{distance}" for name in _PROPERTIES for distance in _DISTANCES),
    "glcm_entropy_1",
)
SHAPE: tuple[str, ...] = (
    "area",
    "circularity",
    "eccentricity",
    "solidity",
    "extent",
    "aspect",
    "radial_deviation",
)
DENSITY: tuple[str, ...] = (
    "mean",
    "deviation",
    "skewness",
    "kurtosis",
    "minimum",
    "maximum",
    "contrast",
    "edge",
    "breast_mean",
    "dense_share",
)

FEATURE_NAMES: tuple[str, ...] = (*TEXTURE, *SHAPE, *DENSITY)
"""What each number of `lesion_features` is.

``glcm_*``: Haralick's properties of the grey-level co-occurrence at a distance in pixels, mean over 0, 45, 90
and 135 degrees; pairs count where both pixels lie in the region.
``area``: share of the image. ``circularity``: 4 pi area / perimeter^2, 1 for a disk. ``eccentricity``,
``extent``: as scikit-image has them; ``solidity``: area by that of the convex hull. ``aspect``: long by short
axis of the ellipse of equal moments. ``radial_deviation``: standard deviation of the outline's distance from
the centroid by its mean, 0 for a disk and large for spicules.
``mean`` to ``maximum``: of the grey values inside; skewness and excess kurtosis. ``contrast``: mean inside
less mean in the surrounding band. ``edge``: mean of the outline's pixels less mean of the pixels beyond.
``breast_mean``, ``dense_share``: mean grey of the breast, and the share of it that is brighter than halfway
between its 5th and 95th percentile.
"""


def lesion_features(image: FloatArray, region: BoolArray) -> FloatArray:
    """The features of one region, in the order of `FEATURE_NAMES`.

    Args:
        image: (rows, cols) in [0, 1], black where there is no breast.
        region: (rows, cols), the region; where there is none, take the breast's. Several pieces count as one.

    Returns:
        (len(FEATURE_NAMES),) float32, all finite.

    Raises:
        InvalidImageError: the sizes differ, or the region is empty.
    """
    if image.ndim != 2 or image.shape != region.shape:
        raise InvalidImageError(
            "an image and a region of one size (rows, cols) are required; "
            f"got {image.shape} and {region.shape}"
        )
    if not region.any():
        raise InvalidImageError(
            "a region of at least one pixel is required; got an empty one; give the breast"
        )
    grey = np.ascontiguousarray(image, np.float32)
    inside = np.ascontiguousarray(region, np.bool_)
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    margin = max(3, int(max(np.ptp(rows), np.ptp(columns))) // 4)
    near = (
        slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
        slice(max(0, columns[0] - margin), columns[-1] + margin + 1),
    )
    values = np.concatenate(
        [
            _texture(grey[near], inside[near]),
            _shape(inside[near], inside.size),
            _density(grey[near], inside[near], margin),
            _breast(grey),
        ]
    )
    return values.astype(np.float32)


def _texture(grey: FloatArray, inside: BoolArray) -> npt.NDArray[np.float64]:
    # Level 0 is "outside": pairs with it are taken out again.
    levels = np.where(inside, 1 + (grey * _LEVELS).clip(0, _LEVELS - 1).astype(np.uint8), 0).astype(np.uint8)
    counts = graycomatrix(levels, _DISTANCES, _ANGLES, levels=_LEVELS + 1, symmetric=True)[1:, 1:].astype(
        float
    )
    total = counts.sum((0, 1), keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    properties = [graycoprops(shares, name).mean(axis=1) for name in _PROPERTIES]
    first = shares[:, :, 0]
    entropy = -(first * np.log(np.where(first > 0, first, 1.0))).sum((0, 1)).mean()
    return np.concatenate([*properties, [entropy]])


def _shape(inside: BoolArray, image_area: int) -> npt.NDArray[np.float64]:
    properties = regionprops(inside.astype(np.uint8))[0]
    area = float(properties.area)
    # The Crofton estimate is that of a smooth outline; on two or three pixels it can be 0.
    perimeter = max(float(properties.perimeter_crofton), 1.0)
    short = max(float(properties.axis_minor_length), 1.0)
    outline = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) == 0)
    distances = np.hypot(*(np.argwhere(outline) - properties.centroid).T)
    return np.array(
        [
            area / image_area,
            min(1.0, 4 * np.pi * area / perimeter**2),
            float(properties.eccentricity),
            _solidity(inside, area),
            float(properties.extent),
            max(float(properties.axis_major_length), 1.0) / short,
            distances.std() / max(float(distances.mean()), 1.0),
        ]
    )


def _solidity(inside: BoolArray, area: float) -> float:
    """Area by that of the convex hull, which is drawn: scikit-image's fails on a line of pixels."""
    points = np.argwhere(inside)[:, ::-1].astype(np.int32)
    hull = np.zeros(inside.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(area / max(int((hull.astype(bool) | inside).sum()), 1))


def _density(grey: FloatArray, inside: BoolArray, margin: int) -> npt.NDArray[np.float64]:
    values = grey[inside].astype(np.float64)
    mean, deviation = values.mean(), values.std()
    # Even tissue has no shape of histogram to speak of.
    standard = (values - mean) / deviation if deviation > 1e-6 else np.zeros_like(values)
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    band = (distance > 0) & (distance <= margin) & (grey > 0)
    around = grey[band].mean() if band.any() else 0.0
    kernel = np.ones((3, 3), np.uint8)
    mask = inside.astype(np.uint8)
    inner, outer = inside & (cv2.erode(mask, kernel) == 0), ~inside & (cv2.dilate(mask, kernel) > 0)
    edge = (grey[inner].mean() if inner.any() else mean) - (grey[outer].mean() if outer.any() else around)
    return np.array(
        [
            mean,
            deviation,
            (standard**3).mean(),
            (standard**4).mean() - 3.0 * (deviation > 1e-6),
            values.min(),
            values.max(),
            mean - around,
            edge,
        ]
    )


def _breast(grey: FloatArray) -> npt.NDArray[np.float64]:
    tissue = grey[grey > 0]
    if not tissue.size:
        return np.zeros(2)
    low, high = np.percentile(tissue, [5, 95])
    return np.array([tissue.mean(), (tissue > (low + high) / 2).mean()])
