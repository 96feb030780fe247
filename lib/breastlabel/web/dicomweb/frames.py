"""The frames of a DICOM file: as they are stored, or as plain values in little endian, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.stored import check_size
from breastlabel.imaging.transfer import stored_pixels

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["COLOUR_AS_STORED", "Frames"]

_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_LONG_VALUES = (b"OB", b"OW", b"UN")
#: Viewers decode it themselves; its colours are subsampled, which plain values could not say.
COLOUR_AS_STORED = "1.2.840.10008.1.2.4.50"


class Frames:
    """The frames of one file. Nothing but the header is read until a frame is asked for.

    Args:
        path: a DICOM file.

    Attributes:
        header: all elements but the pixels'.
        syntax: the UID of the transfer syntax.
        count: how many frames there are; 0 for an object without pixels.

    Raises:
        InvalidImageError: the header cannot be read, or describes no pixels that can be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.header: Dataset = read_dataset(path, pixels=False, lift=False)
            self.syntax = str(self.header.file_meta.TransferSyntaxUID)
            self.is_compressed = bool(self.header.file_meta.TransferSyntaxUID.is_compressed)
            self.rows, self.columns = int(self.header.get("Rows") or 0), int(self.header.get("Columns") or 0)
            self.samples = int(self.header.get("SamplesPerPixel") or 1)
            self.bits = int(self.header.get("BitsAllocated") or 0)
            self.count = int(self.header.get("NumberOfFrames") or 1) if self.rows and self.bits else 0
        except InvalidImageError:
            raise
        except Exception as error:
            raise _unreadable() from error
        # Deflated is no compression of pixels, but pydicom counts it as one.
        self.is_compressed = self.is_compressed and self.syntax != _DEFLATED
        if self.count:
            check_size((self.rows, self.columns), "the image")

    @property
    def photometric(self) -> str:
        """The colours of what `native` gives: RGB for all that is compressed in colour."""
        said = str(self.header.get("PhotometricInterpretation") or "MONOCHROME2")
        return "RGB" if self.is_compressed and said.startswith("YBR") else said

    def check(self, number: int) -> None:
        """See that there is a frame.

        Args:
            number: from 1 on.

        Raises:
            NotFoundError: there is none of this number.
        """
        if not 1 <= number <= self.count:
            raise NotFoundError(
                f"a frame of 1 to {self.count} is required; got {number}; the instance has no more"
            )

    def stored(self, number: int) -> bytes:
        """A compressed frame's stream, unchanged.

        Raises:
            NotFoundError: there is no such frame.
            InvalidImageError: the file is damaged.
        """
        self.check(number)
        from pydicom.encaps import generate_pixel_data_frame

        try:
            dataset = read_dataset(self._path, pixels=True, lift=False)
            for index, stream in enumerate(generate_pixel_data_frame(dataset.PixelData, self.count), start=1):
                if index == number:
                    return bytes(stream)
        except Exception as error:
            raise _unreadable() from error
        raise _unreadable()

    def native(self, number: int) -> bytes:
        """A frame's values in little endian, bits packed as in a native file; as `stored`."""
        self.check(number)
        if self.is_compressed:
            array = self.array(number)
            return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        try:
            if self.bits == 1:
                return self._packed(number)
            size = self._native_size()
            data = self._raw((number - 1) * size, size)
            if self.syntax == _BIG_ENDIAN and self.bits > 8:
                kind = np.dtype(f">u{self.bits // 8}")
                data = np.frombuffer(data, kind).astype(kind.newbyteorder("<")).tobytes()
            return data
        except InvalidImageError:
            raise
        except Exception as error:
            raise _unreadable() from error

    def array(self, number: int) -> npt.NDArray[Any]:
        """A frame as (rows, columns) or (rows, columns, 3), colours as `photometric` says; as `stored`."""
        self.check(number)
        from pydicom.encaps import encapsulate
        from pydicom.pixel_data_handlers.util import convert_color_space

        try:
            frame = read_dataset(self._path, pixels=False, lift=False)
            frame.NumberOfFrames = 1
            if self.is_compressed:
                frame.PixelData = encapsulate([self.stored(number)])
                frame["PixelData"].is_undefined_length = True
            else:
                data = self._packed(number) if self.bits == 1 else self._raw_frame(number)
                frame.PixelData = data + b"\0" * (len(data) % 2)
            frame["PixelData"].VR = "OB" if self.bits <= 8 or self.is_compressed else "OW"
            said = str(self.header.get("PhotometricInterpretation") or "")
            array = stored_pixels(frame)
            if self.is_compressed and said.startswith("YBR_FULL"):
                array = convert_color_space(array, said, "RGB")
            return array
        except InvalidImageError:
            raise
        except MemoryError as error:
            raise InvalidImageError(
                "an image that fits into memory is required; this one is too large"
            ) from error
        except Exception as error:
            # Decoders raise whatever their C code comes up with.
            raise _unreadable() from error

    def _raw_frame(self, number: int) -> bytes:
        size = self._native_size()
        return self._raw((number - 1) * size, size)

    def _native_size(self) -> int:
        pixels = self.rows * self.columns
        if self.header.get("PhotometricInterpretation") == "YBR_FULL_422":
            return pixels * 2 * self.bits // 8
        return pixels * self.samples * self.bits // 8

    def _packed(self, number: int) -> bytes:
        """One frame of one bit a pixel: it may begin within a byte (PS3.5 8.1.1)."""
        pixels = self.rows * self.columns * self.samples
        first = (number - 1) * pixels
        data = self._raw(first // 8, (first + pixels + 7) // 8 - first // 8)
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return np.packbits(bits[first % 8 : first % 8 + pixels], bitorder="little").tobytes()

    def _raw(self, offset: int, size: int) -> bytes:
        """Bytes of the uncompressed pixels, without reading those of other frames."""
        if self.syntax == _DEFLATED:
            data = bytes(read_dataset(self._path, pixels=True, lift=False).PixelData[offset : offset + size])
        else:
            with self._path.open("rb") as file:
                start, length = self._place(file)
                if offset + size > length:
                    raise _unreadable()
                file.seek(start + offset)
                data = file.read(size)
        if len(data) < size:
            raise _unreadable()
        return data

    def _place(self, file: Any) -> tuple[int, int]:
        """Where the pixels begin in the file, and how many bytes they are."""
        from pydicom import dcmread

        # Stops at the element's tag (PS3.5 7.1).
        dcmread(file, stop_before_pixels=True)
        start = file.tell()
        head = file.read(12)
        order: Literal["big", "little"] = "big" if self.syntax == _BIG_ENDIAN else "little"
        if head[:4] != (_PIXEL_DATA if order == "little" else b"\x7f\xe0\x00\x10"):
            raise _unreadable()
        if self.syntax == "1.2.840.10008.1.2":
            return start + 8, int.from_bytes(head[4:8], "little")
        if head[4:6] not in _LONG_VALUES:
            raise _unreadable()
        return start + 12, int.from_bytes(head[8:12], order)


def _unreadable() -> InvalidImageError:
    return InvalidImageError(
        "pixel data that can be decoded are required; those of this instance are damaged, or in an unknown "
        "transfer syntax; send it again, uncompressed"
    )
