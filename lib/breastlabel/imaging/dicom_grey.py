"""Stored values -> the greys that are meant: modality LUT, window or VOI LUT, inversion (PS3.3 C.11).

All of it is a function of one stored value. For up to 16 bits it is computed once for each value that there
is, and the image is looked up in that table: one pass over a film of 14 megapixels instead of five.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.dicom_values import items, number, text
from breastlabel.imaging.image import FloatArray

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["grey_pixels"]

_Values = npt.NDArray[np.float64]
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class _Scale:
    """A function of values, and the ends of what it can give."""

    of: Callable[[_Values], _Values]
    low: float
    high: float


def grey_pixels(
    stored: npt.NDArray[Any], dataset: Dataset, *, displayed: bool
) -> tuple[FloatArray, str | None]:
    """The greys of an image, where brighter means more of what the image shows.

    Modality LUT or rescale, then, where ``displayed``, the first VOI LUT, or else the first window
    (LINEAR, LINEAR_EXACT or SIGMOID), onto the scale of the values before it; last, MONOCHROME1 or a
    Presentation LUT Shape of INVERSE is mirrored about the ends of the scale, once.

    A window that is malformed, or leaves one grey in the whole image, is not applied.

    Args:
        stored: integers (rows, cols).
        dataset: Bits Allocated, Bits Stored, High Bit and Pixel Representation say what the integers mean.

    Returns:
        float32 (rows, cols), and what became of the VOI: "lut", "window", "ignored", or None without one.

    Raises:
        ValueError: a look-up table is malformed.
    """
    modality = _modality(dataset)
    voi, applied = _voi(dataset, modality) if displayed else (None, None)
    inverted = (
        text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        or text(dataset, "PresentationLUTShape") == "INVERSE"
    )
    pixels = _looked_up(stored, dataset, _chain(modality, voi, inverted))
    if voi is not None and pixels.min() == pixels.max():
        pixels, applied = _looked_up(stored, dataset, _chain(modality, None, inverted)), "ignored"
    return pixels, applied


def _chain(modality: _Scale, voi: _Scale | None, inverted: bool) -> Callable[[_Values], _Values]:
    last = voi or modality

    def curve(values: _Values) -> _Values:
        result = modality.of(values)
        if voi is not None:
            result = voi.of(result)
        return last.low + last.high - result if inverted else result

    return curve


def _looked_up(stored: npt.NDArray[Any], dataset: Dataset, curve: Callable[[_Values], _Values]) -> FloatArray:
    with np.errstate(all="ignore"):  # what is not finite is refused where the image is made
        if stored.dtype.itemsize > 2:
            return np.ascontiguousarray(curve(stored.astype(np.float64)), np.float32)
        unsigned = stored.view(f"u{stored.dtype.itemsize}")
        patterns = np.arange(2 ** (8 * stored.dtype.itemsize))
        table = curve(_meant(patterns, dataset)).astype(np.float32)
    pixels = np.empty(unsigned.shape, np.float32)
    values, greys = unsigned.reshape(-1), pixels.reshape(-1)
    for start in range(0, values.size, _AT_ONCE):
        # NumPy turns indices into 64 bits; those of a whole film would leave the processor's cache.
        part = slice(start, start + _AT_ONCE)
        np.take(table, values[part], out=greys[part], mode="clip")
    return pixels


def _meant(patterns: npt.NDArray[np.int64], dataset: Dataset) -> _Values:
    """The numbers that bit patterns stand for; bits outside of the stored ones mean nothing (PS3.5 8.1.1)."""
    bits, high = int(dataset.BitsStored), int(dataset.HighBit)
    kept = (patterns >> (high + 1 - bits)) & (2**bits - 1)
    if dataset.PixelRepresentation:
        sign = 2 ** (bits - 1)
        kept = (kept ^ sign) - sign
    return np.asarray(kept, np.float64)


def _modality(dataset: Dataset) -> _Scale:
    """Modality LUT or rescale (C.11.1)."""
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        return _table(item, signed=signed)
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept") or 0.0
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    # A negative slope turns the ends round; a window onto them must still show much as bright.
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return _Scale(lambda values: values * slope + intercept, *ends)


def _voi(dataset: Dataset, before: _Scale) -> tuple[_Scale | None, str | None]:
    """The first VOI LUT, else the first window (C.11.2)."""
    for item in items(dataset, "VOILUTSequence")[:1]:
        return _table(item, signed=before.low < 0), "lut"
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if centre is None or width is None:
        return None, None
    kind = text(dataset, "VOILUTFunction") or "LINEAR"
    if width < 1 if kind == "LINEAR" else width <= 0:
        return None, "ignored"
    share = {
        # C.11.2.1.2.1, where a width of 1 is a threshold; C.11.2.1.3.2; C.11.2.1.3.1.
        "LINEAR": lambda x: (x - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5,
        "LINEAR_EXACT": lambda x: (x - centre) / width + 0.5,
        "SIGMOID": lambda x: 1 / (1 + np.exp(-4 * (x - centre) / width)),
    }.get(kind)
    if share is None:
        return None, "ignored"
    low, span = before.low, before.high - before.low
    return _Scale(lambda x: low + span * np.clip(share(x), 0, 1), before.low, before.high), "window"


def _table(item: Dataset, *, signed: bool) -> _Scale:
    """A look-up table: LUT Descriptor (0028,3002) and LUT Data (0028,3006), C.11.1.1.1."""
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    count = count or 2**16
    if signed and first >= 2**15:
        first -= 2**16  # written as unsigned
    data = item.LUTData
    if isinstance(data, bytes):
        narrow = bits <= 8 and len(data) in (count, count + 1)
        data = np.frombuffer(data, "u1" if narrow else "<u2" if item.is_little_endian is not False else ">u2")
    table: _Values = np.asarray(data, np.float64).reshape(-1)[:count]
    if not 1 <= bits <= 16 or table.size == 0:
        raise ValueError("a look-up table with entries of 1 to 16 bits is required")

    def look_up(values: _Values) -> _Values:
        place = np.nan_to_num(np.floor(values) - first)
        return table[np.clip(place, 0, table.size - 1).astype(np.int64)]

    return _Scale(look_up, 0.0, float(2**bits - 1))
