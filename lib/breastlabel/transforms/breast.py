"""Where the breast lies in a mammogram: apart from film borders, labels and the dark around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["BreastRegion", "bounding_box", "isolate_breast", "looks_like_mammogram"]

BoolArray = npt.NDArray[np.bool_]

_WORKING_SIDE = 384
"""Longer side of the reduced copy on which the breast is sought."""

_FRAME = 0.05
"""Of a side: how far in a film's border may reach."""

_FAINTEST = 10
"""Of 255: what is no brighter is background, whatever the histogram says; film is never quite black."""


@dataclass(frozen=True)
class BreastRegion:
    """The breast in an image of ``source_shape``.

    Attributes:
        source_shape: (rows, cols) of the image.
        reduced: float32 (rows, cols), the reduced copy on which it was found.
        mask: bool (rows, cols) on the reduced copy.
        chest_wall_right: whether the chest wall is at the right of the image.
        chest_wall_contact: share of the breast's height over which it ends at its straight side.
        opposite_contact: the same for the other side, where the nipple is.
    """

    source_shape: tuple[int, int]
    reduced: FloatArray
    mask: BoolArray
    chest_wall_right: bool
    chest_wall_contact: float
    opposite_contact: float

    @property
    def area_fraction(self) -> float:
        """Share of the image that the breast covers."""
        return float(self.mask.mean())

    def box(self, margin: float = 0.0) -> tuple[int, int, int, int]:
        """(top, left, height, width) around the breast in the source's pixels.

        Args:
            margin: added on each side but the chest wall's, as a share of the breast's longer side; the box
                ends at the image's border.
        """
        top, left, height, width = bounding_box(self.mask)
        rows, cols = self.source_shape
        reach = margin * max(height, width)
        extra_left, extra_right = (reach, 0.0) if self.chest_wall_right else (0.0, reach)
        row_scale, col_scale = rows / self.mask.shape[0], cols / self.mask.shape[1]
        first_row = max(0, int(np.floor((top - reach) * row_scale)))
        last_row = min(rows, int(np.ceil((top + height + reach) * row_scale)))
        first_col = max(0, int(np.floor((left - extra_left) * col_scale)))
        last_col = min(cols, int(np.ceil((left + width + extra_right) * col_scale)))
        return first_row, first_col, last_row - first_row, last_col - first_col


def isolate_breast(pixels: FloatArray) -> BreastRegion:
    """Find the breast in a mammogram (rows, cols) in which tissue is brighter than the background.

    The image is reduced, film borders are set to the background, the background's peak in the histogram is
    told from the rest by the triangle rule (Zack, Rogers and Latt, J. Histochem. Cytochem. 25, 1977), an
    opening cuts labels off, and of what is left the largest piece is the breast. The chest wall is on the
    side where that piece ends in a straight line, at the image's border or, in padded images, within it, and
    where it ends bright.

    Raises:
        InvalidImageError: the shape is not two-dimensional, a pixel is not finite, or there is no breast.
    """
    if pixels.ndim != 2 or min(pixels.shape) < _SMALLEST:
        raise InvalidImageError(
            f"a grey mammogram of {_SMALLEST} x {_SMALLEST} pixels or more is required; got an array of "
            f"shape {pixels.shape}; give one still image at its full size"
        )
    reduced = _reduced(pixels)
    if not bool(np.isfinite(reduced).all()):
        raise InvalidImageError("every pixel must be a finite number; got NaN or infinity; export it again")
    levels = _levels(reduced)
    _remove_frame(levels)
    mask = _largest_piece(levels)
    if mask is None:
        raise InvalidImageError(
            "a mammogram with one breast on a dark background is required; no breast was found; "
            "check that the image is a mammogram and not inverted"
        )
    contact = _contact(mask, right=False), _contact(mask, right=True)
    ends = _brightness_of_ends(levels, mask)
    # Tissue thins out towards the skin, and is cut off at the chest wall: both say the side, neither always.
    wall = int(contact[1] - contact[0] + 0.5 * (ends[1] - ends[0]) > 0)
    return BreastRegion(
        (pixels.shape[0], pixels.shape[1]), reduced, mask, bool(wall), contact[wall], contact[1 - wall]
    )


def looks_like_mammogram(region: BreastRegion) -> str | None:
    """Why an image is unlike any whole-breast mammogram, in a few words; None where it is like one.

    Specimens and spot views have no straight chest wall on one side only; a page of text has no piece of the
    size of a breast.
    """
    _, _, height, width = bounding_box(region.mask)
    if not _AREA[0] <= region.area_fraction <= _AREA[1]:
        return f"the bright region covers {region.area_fraction:.0%} of the image"
    if not _PROPORTIONS[0] <= height / width <= _PROPORTIONS[1]:
        return f"the bright region is {height / width:.1f} times as high as wide"
    if region.chest_wall_contact < max(_LEAST_CONTACT, _floats(region) * 1.4 * region.opposite_contact):
        return "the bright region has no straight side for the chest wall"
    if region.opposite_contact > _MOST_OPPOSITE:
        return "the bright region ends straight on both sides"
    return None


_SMALLEST = 32
_AREA = (0.02, 0.98)
_PROPORTIONS = (0.4, 7.0)
_LEAST_CONTACT = 0.08
_MOST_OPPOSITE = 0.75


def _floats(region: BreastRegion) -> bool:
    """Whether the breast touches none of the image's borders."""
    mask = region.mask
    return not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _reduced(pixels: FloatArray) -> FloatArray:
    rows, cols = pixels.shape
    scale = min(1.0, _WORKING_SIDE / max(rows, cols))
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    reduced = cv2.resize(np.ascontiguousarray(pixels, dtype=np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.float32)


def _levels(reduced: FloatArray) -> npt.NDArray[np.uint8]:
    """The reduced copy in 256 levels, smoothed; a few very bright pixels do not set the scale."""
    low, high = (float(value) for value in np.percentile(reduced, (0.5, 99.5)))
    if low == high:
        low, high = float(reduced.min()), float(reduced.max())
    scaled = np.clip((reduced - low) / max(high - low, 1e-12), 0, 1)
    return np.asarray(cv2.GaussianBlur(np.rint(scaled * 255).astype(np.uint8), (5, 5), 0))


def _remove_frame(levels: npt.NDArray[np.uint8]) -> None:
    """Set, in place, strips along the borders that are bright over the image's whole length to black.

    Tissue at the chest wall is bright too, but not from corner to corner, or not brighter than what is next
    to it.
    """
    for turns in range(4):
        turned: npt.NDArray[Any] = np.rot90(levels, turns)
        depth = max(2, round(_FRAME * len(turned)))
        lines = turned[: 2 * depth].astype(np.float32)
        dimmest = np.percentile(lines, 10, axis=1)
        means = lines.mean(axis=1)
        inside = means[depth:].mean()
        for line in range(depth - 1, -1, -1):
            if dimmest[line] > 100 and means[line] > inside + 25:
                end = line + 1
                # Its edge is blurred: as long as it still falls off, it is the border's.
                while end < len(dimmest) and dimmest[end] < dimmest[end - 1] - 3:
                    end += 1
                turned[:end] = 0
                break


def _largest_piece(levels: npt.NDArray[np.uint8]) -> BoolArray | None:
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_TRIANGLE)
    bright = (levels > max(threshold, _FAINTEST)).astype(np.uint8)
    radius = max(1, round(0.012 * max(levels.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Dark beyond the border, so that a bright strip along it is as thin as it looks.
    padded = cv2.copyMakeBorder(bright, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)
    piece = _largest_component(opened[radius:-radius, radius:-radius])
    if piece is None:
        return None
    # The opening rounded nipple and corners off: what lies next to the piece comes back.
    near = cv2.dilate(piece, disc) & bright
    padded = cv2.copyMakeBorder(near, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[radius:-radius, radius:-radius]
    whole = _largest_component(closed)
    return None if whole is None else _filled(whole)


def _largest_component(binary: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(binary), connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels == largest, np.uint8)


def _filled(piece: npt.NDArray[np.uint8]) -> BoolArray:
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(piece), contours, -1, 1, cv2.FILLED)
    return np.asarray(filled, bool)


def bounding_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """(top, left, height, width) around what is true."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(cols[0])
    return top, left, int(rows[-1]) + 1 - top, int(cols[-1]) + 1 - left


def _contact(mask: BoolArray, *, right: bool) -> float:
    """Share of the breast's height over which it reaches its outermost columns on one side."""
    top, left, height, width = bounding_box(mask)
    inner = mask[top : top + height, left : left + width]
    strip = max(1, round(0.02 * width))
    edge = inner[:, -strip:] if right else inner[:, :strip]
    return float(edge.any(axis=1).mean())


def _brightness_of_ends(levels: npt.NDArray[np.uint8], mask: BoolArray) -> tuple[float, float]:
    """Brightness of the left and of the right end of the breast's rows, as shares of the breast's mean."""
    depth = 2
    rows = np.flatnonzero(mask.sum(axis=1) > 2 * depth + 2)
    if not len(rows):
        return 0.0, 0.0
    lefts = mask[rows].argmax(axis=1) + depth
    rights = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1) - depth
    mean = float(levels[mask].mean())
    return float(levels[rows, lefts].mean()) / mean, float(levels[rows, rights].mean()) / mean
