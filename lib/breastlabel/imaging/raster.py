"""PNG, JPEG, TIFF, BMP and PGM files: pixels in rows from the top, without a space of their own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import Geometry
from breastlabel.imaging.stored import MAX_PIXELS, StoredImage, check_size

__all__ = ["RASTER_SUFFIXES", "png_bytes", "raster_space", "read_raster"]

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm")

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "MPO")
_BITS_PER_SAMPLE = 258  # TIFF tag


def read_raster(path: Path, *, palette_indices: bool = False) -> StoredImage:
    """Read one still image.

    Args:
        path: PNG, JPEG, TIFF, BMP or PGM; 1-bit, grey, palette, colour, with or without alpha, 16-bit.
        palette_indices: give a palette image's indices (a label map) rather than its colours.

    Returns:
        The pixels; 1-bit images as 0 and 1 with ``palette_indices``, else as 0 and 255. The spacing is
        None: resolutions in such files describe paper or screens, not tissue.

    Raises:
        InvalidImageError: truncated, not an image, several frames, or too large.
    """
    with _opened(path) as image:
        geometry = _geometry(path, image)
        if _is_deep_colour(image, path):
            return StoredImage(_decode_deep_colour(path), geometry, None)
        return StoredImage(_pillow_array(image, palette_indices=palette_indices), geometry, None)


def raster_space(path: Path) -> tuple[tuple[int, int], Geometry]:
    """(rows, cols) and space of one still image, from its header alone.

    Raises:
        InvalidImageError: as `read_raster`, for what the header tells.
    """
    with _opened(path) as image:
        return (image.height, image.width), _geometry(path, image)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A still image of a size that may be decoded; what goes wrong with it is an `InvalidImageError`."""
    name = path.name
    try:
        with Image.open(path, formats=_FORMATS) as image:
            check_size((image.height, image.width), name)
            frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            if frames > 1:
                raise InvalidImageError(
                    f"one still image is required; {name} has {frames} frames; save one of them"
                )
            yield image
    except InvalidImageError:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidImageError(
            f"at most {MAX_PIXELS // 1_000_000} megapixels can be read; {name} is larger; "
            "export it at a lower resolution"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InvalidImageError(
            f"a readable PNG, JPEG, TIFF, BMP or PGM image is required; {name} is damaged or of another "
            "format; export it again"
        ) from error


def png_bytes(pixels: npt.NDArray[Any]) -> bytes:
    """uint8 or uint16 (rows, cols) as a grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _pillow_array(image: Image.Image, *, palette_indices: bool) -> npt.NDArray[Any]:
    mode = image.mode
    if mode == "1":
        return np.asarray(image).astype(np.uint8) * (1 if palette_indices else 255)
    if mode == "P" and not palette_indices:
        return np.asarray(image.convert("RGB"))
    if mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX", "PA", "RGBa", "La"):
        return np.asarray(image.convert("RGB"))
    return np.asarray(image)


def _is_deep_colour(image: Image.Image, path: Path) -> bool:
    """Whether the samples have 16 bits where Pillow would give 8: colour, or grey with alpha."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:25] == b"\x10"  # the bit depth in IHDR
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return int(bits[0] if isinstance(bits, tuple) else bits) > 8
    return False


def _decode_deep_colour(path: Path) -> npt.NDArray[Any]:
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("OpenCV cannot decode it")
    if decoded.ndim == 2:
        return np.asarray(decoded)
    return np.asarray(decoded[:, :, [2, 1, 0]])  # OpenCV stores BGR(A)


def _geometry(path: Path, image: Image.Image) -> Geometry:
    """The space in which ITK-based viewers lay the file.

    ITK turns a resolution (dots per inch) into a spacing; a mask must carry the same one to lie over
    the image, although it is not a distance in the tissue.
    """
    if image.format == "PNG" or not any(key in image.info for key in ("dpi", "resolution", "jfif_density")):
        return Geometry()
    from breastlabel.imaging.volumes import itk_geometry

    return itk_geometry(path) or Geometry()
