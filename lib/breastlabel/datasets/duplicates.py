"""Near-duplicates: the same lesion, stored twice or a moment apart.

Public ultrasound sets hold many: the same frame saved with and without callipers, cropped differently, or
taken a breath later. If a split parts them, a model is tested on images that it has seen.

The rule has two steps, because no single distance serves. `perceptual_hash` differs in at most 64 of 256
bits: a duplicate. It differs in 65 to 96: a duplicate only if the images themselves agree
(`correlation` of at least 0.5). Measured on 624 images of BUSI and 1,492 of BUS-BRA (852
patients, known, so every pair across patients is known to be false):

- of 1.1 million pairs across BUS-BRA's patients none lies within 64 bits, the first at 68; by 84 bits
  chance pairs alone chain 44 images together, so that the distance cannot simply be raised;
- BUSI's pairs between 42 and 64 bits, looked at one by one, are all the same lesion, and so are many at
  72 to 94 bits: the same frame with a wider crop. The first step makes 480 groups of 624
  images, the second joins them to 467 and lets contradictory classes be seen that the first
  misses.
- Where the second step errs, it joins: up to 86 bits pairs that are not the same lesion correlate by at
  most 0.48, but up to 96 bits one pair of 2,147 in BUS-BRA and five in BUSI, mostly lesions above a broad
  acoustic shadow, reach 0.51 to 0.64. A group too large costs a split a little freedom; a duplicate
  missed costs the truth of a test.

Groups are transitive: the largest in BUSI has 7 images, one sweep over one lesion, whose ends differ in
104 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from breastlabel.errors import StudiesError

__all__ = [
    "CANDIDATE_DISTANCE",
    "DUPLICATE_DISTANCE",
    "MINIMUM_CORRELATION",
    "connected_groups",
    "correlation",
    "near_duplicate_groups",
    "near_duplicate_pairs",
    "perceptual_hash",
    "thumbnail",
]

DUPLICATE_DISTANCE = 64
"""Bits of 256 within which two images are the same lesion without a second look."""
CANDIDATE_DISTANCE = 96
"""Bits of 256 within which two images are the same lesion if their pixels agree."""
MINIMUM_CORRELATION = 0.5
"""What "agree" means for `CANDIDATE_DISTANCE`."""

_HASH_SIZE = 16
_THUMBNAIL = 96
_MARGIN = 14
_BLOCK = 2048

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def perceptual_hash(pixels: npt.NDArray[np.generic]) -> BoolArray:
    """The 256-bit pHash of one grey image (rows, cols): signs of its low frequencies about their median."""
    return np.asarray(imagehash.phash(Image.fromarray(_as_bytes(pixels)), hash_size=_HASH_SIZE).hash).ravel()


def thumbnail(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """(96, 96) float32 with slow brightness changes removed, for `correlation`."""
    small = np.asarray(
        Image.fromarray(_as_bytes(pixels)).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS),
        dtype=np.float32,
    )
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), 12.0), np.float32)


def correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """How well the middle of one `thumbnail` is found again in the other: -1 to 1, symmetric.

    The middle may lie up to 14 of 96 pixels elsewhere, so that another crop of the same frame agrees.
    """
    inner = slice(_MARGIN, -_MARGIN)
    found = (
        cv2.matchTemplate(whole, np.ascontiguousarray(part[inner, inner]), cv2.TM_CCOEFF_NORMED).max()
        for whole, part in ((a, b), (b, a))
    )
    return float(max(found))


def near_duplicate_pairs(
    hashes: npt.NDArray[np.bool_],
    *,
    similarity: Callable[[int, int], float] | None = None,
    certain: int = DUPLICATE_DISTANCE,
) -> list[tuple[int, int]]:
    """Pairs (i < j) of images that show the same lesion, by the rule above.

    Args:
        hashes: (N, bits), `perceptual_hash` of each image.
        similarity: `correlation` of images i and j, asked for only where the hashes leave it open; None
            leaves those pairs apart.
        certain: bits within which a pair needs no second look.
    """
    if hashes.ndim != 2:
        raise StudiesError(f"hashes (images, bits) are required; got shape {hashes.shape}; stack them")
    # With bits as -1 and 1 a matrix product counts the agreeing bits less the differing ones.
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    bits = hashes.shape[1]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs), _BLOCK):
        distances = (bits - signs[start : start + _BLOCK] @ signs[start:].T) / 2
        for row, column in np.argwhere(distances <= CANDIDATE_DISTANCE):
            i, j = start + int(row), start + int(column)
            if i >= j:
                continue
            if distances[row, column] <= certain or (
                similarity is not None and similarity(i, j) >= MINIMUM_CORRELATION
            ):
                pairs.append((i, j))
    return pairs


def near_duplicate_groups(
    hashes: npt.NDArray[np.bool_], *, similarity: Callable[[int, int], float] | None = None
) -> IntArray:
    """(N,) the group number of each image: pairs of `near_duplicate_pairs`, joined transitively."""
    return connected_groups(len(hashes), near_duplicate_pairs(hashes, similarity=similarity))


def connected_groups(n: int, pairs: Iterable[tuple[int, int]]) -> IntArray:
    """(n,) group numbers such that both ends of every pair are in one group."""
    ends = np.asarray(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _as_bytes(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    values = np.asarray(pixels, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) * (255.0 / max(high - low, 1e-6)), np.uint8)
