"""Frames as pictures for screens: PNG and JPEG, windowed, cut out and scaled (PS3.18 8.3.5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.imaging.dicom_grey import grey_pixels
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.web.dicomweb.frames import Frames

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["PICTURES", "Rendering", "RenderingError", "picture"]

#: Media types that can be had, the default first.
PICTURES = ("image/jpeg", "image/png")
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_LARGEST_SIDE = 8192
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class RenderingError(BreastLabelError, ValueError):
    """A rendering parameter is none that can be followed."""


class Rendering(NamedTuple):
    """How a picture is made.

    Attributes:
        window: (centre, width, function) instead of the instance's own.
        size: (width, height) into which the picture has to fit; None leaves it as it is.
        region: (x, y, width, height) of the pixels that are shown; None is all of them.
        quality: of a JPEG, 1 to 100.
    """

    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    quality: int = 90

    @classmethod
    def parsed(cls, *, window: str | None, viewport: str | None, quality: str | None) -> Rendering:
        """The query parameters of those names.

        Raises:
            RenderingError: one of them is malformed.
        """
        size, region = _viewport(viewport)
        return cls(_window(window), size, region, _quality(quality))


def picture(file: Path, number: int, media: str, rendering: Rendering) -> bytes:
    """A frame of a DICOM file.

    Args:
        number: from 1 on.
        media: one of `PICTURES`.

    Raises:
        NotFoundError: there is no such frame.
        InvalidImageError: it cannot be decoded.
        RenderingError: the region lies outside.
    """
    frames = Frames(file)
    pixels = _screen_pixels(frames, file, number, rendering)
    if rendering.region is not None:
        x, y, width, height = rendering.region
        pixels = pixels[y : y + height, x : x + width]
        if not pixels.size:
            raise RenderingError("a viewport within the image is required; the one asked for is empty")
    pixels = _scaled(pixels, rendering.size)
    if pixels.ndim == 3:
        pixels = pixels[:, :, ::-1]  # OpenCV writes BGR
    suffix, options = (
        (".png", []) if media == "image/png" else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, rendering.quality])
    )
    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    if not done:
        raise InvalidImageError(
            "an image that can be encoded is required; this one cannot; ask for another type"
        )
    return bytes(data)


def _screen_pixels(frames: Frames, file: Path, number: int, rendering: Rendering) -> npt.NDArray[np.uint8]:
    from pydicom.pixel_data_handlers.util import apply_color_lut, convert_color_space

    stored = frames.array(number)
    # With what an enhanced object says of its frames at the top level.
    header = read_dataset(file, pixels=False)
    try:
        if frames.photometric == "PALETTE COLOR":
            return _bytes_of(apply_color_lut(stored, header))
        if stored.ndim == 3:
            if frames.photometric.startswith("YBR"):
                stored = convert_color_space(stored, frames.photometric, "RGB")
            return _bytes_of(stored)
        return _grey(stored, header, rendering)
    except (InvalidImageError, RenderingError):
        raise
    except Exception as error:
        # Tables and windows may be malformed in any way.
        raise InvalidImageError(
            "an image whose greys are described is required; this one's tables are malformed; send it again"
        ) from error


def _grey(stored: npt.NDArray[Any], header: Dataset, rendering: Rendering) -> npt.NDArray[np.uint8]:
    if rendering.window is not None:
        header.WindowCenter, header.WindowWidth, header.VOILUTFunction = rendering.window
        if "VOILUTSequence" in header:
            del header.VOILUTSequence
    pixels, applied = grey_pixels(stored, header, displayed=True)
    low, high = float(pixels.min()), float(pixels.max())
    if applied in ("window", "lut"):
        low, high = _ends(header, applied, low, high)
    share = (pixels - low) * (255 / max(high - low, 1e-30))
    return np.asarray(np.rint(np.clip(share, 0, 255)), np.uint8)


def _ends(header: Dataset, applied: str, low: float, high: float) -> tuple[float, float]:
    """The values that are black and white, whether or not the image has them; see `grey_pixels`."""
    if applied == "lut":
        return 0.0, float(2 ** int(header.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    # A ramp of all stored values has both ends of the scale, for a window too wide as well.
    from pydicom.dataset import Dataset

    plain = Dataset()
    for keyword in (
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
        *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    ):
        if keyword in header:
            plain[keyword] = header[keyword]
    bits = int(header.BitsStored)
    if bits > 16:
        return low, high
    kind = f"{'i' if header.PixelRepresentation else 'u'}{2 if int(header.BitsAllocated) > 8 else 1}"
    start = -(2 ** (bits - 1)) if header.PixelRepresentation else 0
    ends = np.array([[start, start + 2**bits - 1]]).astype(kind)
    scale, _ = grey_pixels(ends, plain, displayed=False)
    return float(scale.min()), float(scale.max())


def _bytes_of(colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if colours.dtype == np.uint8:
        return colours
    return np.asarray(colours >> (8 * (colours.dtype.itemsize - 1)), np.uint8)


def _scaled(pixels: npt.NDArray[np.uint8], size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    """Fitted into a size, its sides' ratio kept."""
    rows, columns = pixels.shape[:2]
    width, height = size or (min(columns, _LARGEST_SIDE), min(rows, _LARGEST_SIDE))
    factor = min(width / columns, height / rows)
    if factor == 1:
        return pixels
    wanted = max(1, round(columns * factor)), max(1, round(rows * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), wanted, interpolation=how), np.uint8)


def _window(text: str | None) -> tuple[float, float, str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 2:
        parts.append("linear")
    known = len(parts) == 3 and all(_NUMBER.fullmatch(part) for part in parts[:2])
    if not known or parts[2].lower() not in _FUNCTIONS or float(parts[1]) <= 0:
        raise RenderingError(
            "a window=centre,width,function with linear, linear-exact or sigmoid is required; got another; "
            "correct it"
        )
    return float(parts[0]), float(parts[1]), _FUNCTIONS[parts[2].lower()]


def _viewport(text: str | None) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None]:
    if text is None:
        return None, None
    parts = [part.strip() for part in text.split(",")]
    numbers = [float(part) if _NUMBER.fullmatch(part) else None for part in parts]
    error = RenderingError(
        f"a viewport=width,height[,x,y,width,height] of 1 to {_LARGEST_SIDE} pixels is required; "
        "got another; correct it"
    )
    if len(numbers) not in (2, 6) or any(n is None or abs(n) > 1e6 for n in numbers):
        raise error
    whole = [round(n) for n in numbers if n is not None]
    if not all(1 <= n <= _LARGEST_SIDE for n in whole[:2]):
        raise error
    if len(whole) == 2:
        return (whole[0], whole[1]), None
    x, y, width, height = whole[2:]
    if min(x, y) < 0 or min(width, height) < 1:
        raise error
    return (whole[0], whole[1]), (x, y, width, height)


def _quality(text: str | None) -> int:
    if text is None:
        return Rendering().quality
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise RenderingError("a quality of 1 to 100 is required; got another; correct it")
    return int(text)
