"""P2's regions of interest without a network: threshold, then iterative region growing.

A mass or a cluster is brighter than the tissue around it. So the threshold is set on the contrast with the
local mean, not on the grey value, which the pectoral muscle and dense tissue would win. From the core of each
region that stands out, the region grows: neighbours join it while they are more like the region's mean than
like the mean of its surroundings, and both means are taken anew, until none joins (P2, "Image segmentation";
Adams and Bischof 1994 for seeded growing, Adel et al. 2007 for regions against their neighbourhood). A region
that grows into one that stands out more is that one. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import FloatArray
from breastlabel.inference.morphology import BoolArray, fill_holes

__all__ = ["GrownRegions", "grow_regions"]

IntArray = npt.NDArray[np.intp]

_MOST_STEPS = 100


@dataclass(frozen=True)
class GrownRegions:
    """What was found on one image.

    Attributes:
        thresholded: (rows, cols), the pixels that stand out before any growing, P2's second picture.
        labels: (rows, cols) int32, 0 outside, 1 for the region that stands out most, and so on; P2's third
            picture is where it is not 0.
        contrast: of each region, mean grey inside less mean grey around it; in the order of the labels.
    """

    thresholded: BoolArray
    labels: npt.NDArray[np.int32]
    contrast: tuple[float, ...]

    @property
    def mask(self) -> BoolArray:
        """(rows, cols), all regions together."""
        result: BoolArray = self.labels > 0
        return result

    @property
    def n_regions(self) -> int:
        """How many there are; none is an answer too."""
        return len(self.contrast)


def grow_regions(
    image: FloatArray,
    *,
    breast: BoolArray | None = None,
    deviations: float = 2.0,
    least_contrast: float = 0.03,
    smoothing: float = 0.003,
    surroundings: float = 0.1,
    most_regions: int = 3,
    smallest: float = 0.0003,
    largest: float = 0.25,
) -> GrownRegions:
    """Regions of interest of a grey image.

    Args:
        image: (rows, cols) in [0, 1], the lesion bright.
        breast: (rows, cols), where there is breast; where None, what is not black.
        deviations: how many (robust) standard deviations of the contrast a pixel must stand out by.
        least_contrast: and by how much at least, so that in even tissue nothing does.
        smoothing: standard deviation of the Gaussian before anything else, as a share of the longer side.
        surroundings: side of the square over which the local mean is taken, as a share of the longer side;
            what is larger than that does not stand out.
        most_regions: only those that stand out most are grown.
        smallest: regions of a smaller share of the breast are noise.
        largest: regions of a larger share have leaked, and are no lesion.

    Raises:
        InvalidImageError: it is not one grey image, or not of finite numbers in [0, 1].
    """
    grey = _checked(image)
    inside = grey > 0.0 if breast is None else _breast(breast, grey.shape)
    area = int(inside.sum())
    labels = np.zeros(grey.shape, np.int32)
    if area == 0:
        return GrownRegions(np.zeros(grey.shape, np.bool_), labels, ())
    side = max(grey.shape)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.5, smoothing * side))
    reach = max(5, round(surroundings * side))
    contrast = np.where(inside, smooth - _local_mean(smooth, inside, reach), np.float32(0.0))
    cut = max(least_contrast, _robust_cut(contrast[inside], deviations))
    thresholded = contrast >= cut
    # Tissue is brighter at the chest wall than under the skin: grow on what exceeds the normal tissue around.
    normal = inside & ~cv2.dilate(thresholded.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)
    excess = np.where(inside, smooth - _local_mean(smooth, normal, 2 * reach), np.float32(0.0))
    found: list[float] = []
    for core in _cores(thresholded, contrast, smallest * area / 4)[:most_regions]:
        if labels[core].any():
            continue
        grown = _grow(core, excess, inside, reach)
        taken = labels[grown.place]
        free = grown.mask & (taken == 0)
        if not smallest * area <= int(free.sum()) <= largest * area or grown.gain < least_contrast:
            continue
        if 2 * int(free.sum()) < int(grown.mask.sum()):
            # It has grown into one that stands out more: they are one region.
            continue
        found.append(grown.gain)
        taken[free] = len(found)
    return GrownRegions(thresholded, labels, tuple(found))


@dataclass(frozen=True)
class _Grown:
    """``mask`` lies at ``place`` of the image; ``gain`` is mean grey inside less mean grey around."""

    place: tuple[slice, slice]
    mask: BoolArray
    gain: float


def _cores(thresholded: BoolArray, contrast: FloatArray, smallest: float) -> list[tuple[IntArray, IntArray]]:
    """Pixels (rows, columns) from which each region grows: the upper half of the contrast of a component.

    The first is the one that stands out most: contrast, times the root of its area as noise averages out
    with that, times how much of the circle around it is filled, as vessels and folds are long.
    """
    count, marks, boxes, _ = cv2.connectedComponentsWithStats(thresholded.astype(np.uint8), connectivity=8)
    ranked: list[tuple[float, tuple[IntArray, IntArray]]] = []
    for mark in range(1, count):
        left, top, width, height, area = (int(value) for value in boxes[mark])
        if area < smallest:
            continue
        place = (slice(top, top + height), slice(left, left + width))
        rows, columns = np.nonzero(marks[place] == mark)
        values = contrast[place][rows, columns]
        filled = min(1.0, area / (np.pi / 4 * max(width, height) ** 2))
        upper = values >= 0.5 * np.quantile(values, 0.95)
        core = (rows[upper] + top, columns[upper] + left)
        ranked.append((float(values.mean()) * np.sqrt(area) * filled, core))
    # Sorting is stable, so equal ones stay in the order of the image.
    return [core for _, core in sorted(ranked, key=lambda pair: -pair[0])]


def _grow(core: tuple[IntArray, IntArray], excess: FloatArray, inside: BoolArray, reach: int) -> _Grown:
    """Grow from the core until no neighbour is more like the region than like its surroundings."""
    down, across = (
        slice(max(0, int(axis.min()) - 2 * reach), min(size, int(axis.max()) + 2 * reach + 1))
        for axis, size in zip(core, excess.shape, strict=True)
    )
    place = (down, across)
    values, tissue = excess[place], inside[place]
    region = np.zeros(values.shape, np.uint8)
    region[core[0] - down.start, core[1] - across.start] = 1
    kernel = np.ones((3, 3), np.uint8)
    band, pixels_a_step = max(3, reach // 4), max(1, reach // 25)
    gain = 0.0
    for _ in range(_MOST_STEPS):
        size = int(region.sum())
        outside = (cv2.distanceTransform(1 - region, cv2.DIST_L2, 3) <= band) & tissue & (region == 0)
        within = float(values[region > 0].mean())
        around = float(values[outside].mean()) if outside.any() else 0.0
        gain = within - around
        alike = ((values >= (within + around) / 2) & tissue).astype(np.uint8)
        for _ in range(pixels_a_step):
            region |= cv2.dilate(region, kernel) & alike
        if int(region.sum()) == size:
            break
    # Strands of a pixel or two are noise, not outline.
    opened = cv2.morphologyEx(region, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return _Grown(place, fill_holes((opened if opened.any() else region).astype(np.bool_)), gain)


def _local_mean(grey: FloatArray, inside: BoolArray, side: int) -> FloatArray:
    """Mean over the square around each pixel, of what is ``inside`` alone."""
    weight = inside.astype(np.float32)
    total = cv2.blur(grey * weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    share = cv2.blur(weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    whole = float(grey[inside].mean()) if inside.any() else 0.0
    # Where the square holds none of it, the mean of all.
    result: FloatArray = np.where(share > 1e-3, total / np.maximum(share, 1e-3), np.float32(whole))
    return result


def _robust_cut(contrast: FloatArray, deviations: float) -> float:
    """Median and so many standard deviations, estimated from the median absolute deviation."""
    middle = float(np.median(contrast))
    return middle + deviations * 1.4826 * float(np.median(np.abs(contrast - middle)))


def _checked(image: FloatArray) -> FloatArray:
    if image.ndim != 2 or image.size == 0:
        raise InvalidImageError(f"one grey image (rows, cols) is required; got an array of {image.shape}")
    grey = np.ascontiguousarray(image, dtype=np.float32)
    low, high = float(grey.min()), float(grey.max())
    # NaN fails every comparison.
    if not (low >= 0.0 and high <= 1.0):
        raise InvalidImageError(
            f"grey values in [0, 1] are required; got {low:g} to {high:g}; prepare the image first"
        )
    return grey


def _breast(breast: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    if breast.shape != shape:
        raise InvalidImageError(f"the breast mask must have the image's size {shape}; got {breast.shape}")
    return breast.astype(np.bool_)
