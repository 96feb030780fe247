"""Whether a DICOM file is whole: every value as long as its element says (PS3.5 7).

pydicom takes what there is of a file that was cut off, and says so in a warning at most.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_whole"]

_META_START = 132
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_PIXEL_DATA = (0x7FE0, 0x0010)
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_DEEPEST = 64
_IMPLICIT, _BIG, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


class _CutOffError(Exception):
    """The file ends, or makes no sense, before its last element does."""


def is_whole(path: Path, syntax: str) -> bool:
    """Whether nothing of a DICOM file is missing at its end.

    Args:
        syntax: its transfer syntax. What a deflated one holds has been found small enough.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = _Walk(file, size, ">" if syntax == _BIG else "<").after_meta()
            if syntax != _DEFLATED:
                _Walk(file, size, ">" if syntax == _BIG else "<").elements(
                    start, size, explicit=syntax != _IMPLICIT
                )
                return True
            file.seek(start)
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflater.decompress(file.read())
            if not inflater.eof:
                return False
            _Walk(io.BytesIO(data), len(data), "<").elements(0, len(data), explicit=True)
            return True
    except (_CutOffError, zlib.error):
        return False


class _Walk:
    """Goes from element to element without reading values."""

    def __init__(self, file: BinaryIO, size: int, order: str) -> None:
        self._file = file
        self._size = size
        self._tag = struct.Struct(f"{order}HH")
        self._short = struct.Struct(f"{order}H")
        self._length = struct.Struct(f"{order}I")

    def after_meta(self) -> int:
        """Where the file meta information, always explicit and little, ends."""
        position = _META_START
        while position < self._size:
            self._file.seek(position)
            head = self._file.read(12)
            if head[:2] != b"\x02\x00":
                return position
            if len(head) < 8:
                raise _CutOffError
            long = head[4:6] in _LONG
            length = int.from_bytes(head[8:12] if long else head[6:8], "little")
            position += (12 if long else 8) + length
        raise _CutOffError

    def elements(
        self, position: int, end: int, *, explicit: bool, delimited: bool = False, depth: int = 0
    ) -> int:
        """The end of a dataset, which is that of the file, or of an item of undefined length."""
        if depth > _DEEPEST:
            raise _CutOffError
        while position < end:
            tag, head = self._head(position)
            if delimited and tag == _ITEM_END:
                return position + 8
            if tag == (0, 0) and not delimited:
                # Zeros after the last element: blocks of a fixed size.
                return end
            kind, length, value = b"", 0, position + 8
            if not explicit:
                length = self._length.unpack(head[4:])[0]
            elif (kind := head[4:6]) in _LONG:
                length = self._length.unpack(self._read(position + 8, 4))[0]
                value = position + 12
            else:
                length = self._short.unpack(head[6:])[0]
            if length == _UNDEFINED:
                # What is unknown is written implicitly (PS3.5 6.2.2).
                position = self._items(
                    value, explicit=explicit and kind != b"UN", fragments=tag == _PIXEL_DATA, depth=depth + 1
                )
            else:
                position = value + length
        if position != end or delimited:
            raise _CutOffError
        return end

    def _items(self, position: int, *, explicit: bool, fragments: bool, depth: int) -> int:
        while True:
            tag, head = self._head(position)
            if tag == _SEQUENCE_END:
                return position + 8
            length = self._length.unpack(head[4:])[0]
            if tag != _ITEM or (fragments and length == _UNDEFINED):
                raise _CutOffError
            position += 8
            if length == _UNDEFINED:
                position = self.elements(position, self._size, explicit=explicit, delimited=True, depth=depth)
            else:
                position += length

    def _head(self, position: int) -> tuple[tuple[int, int], bytes]:
        head = self._read(position, 8)
        return self._tag.unpack(head[:4]), head

    def _read(self, position: int, size: int) -> bytes:
        self._file.seek(position)
        data = self._file.read(size)
        if len(data) < size:
            raise _CutOffError
        return data
