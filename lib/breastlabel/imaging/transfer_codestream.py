"""The headers of JPEG, JPEG-LS and JPEG 2000 streams, which are looked at before anything is decoded.

A decoder allocates what the stream's own header asks for, whatever Rows and Columns say.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["StreamHeader", "boxed_jpeg2000", "repaired_jpeg", "stream_header"]

_JPEG, _JPEG2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_SOS, _SOF_LS = 0xDA, 0xF7
_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {_SOF_LS}
_SOF_SEQUENTIAL = frozenset({0xC0, 0xC1})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_LAST_COEFFICIENT = 63


class StreamHeader(NamedTuple):
    """What a stream says that it holds.

    Attributes:
        bits: of a sample.
        plain: one unsigned component at full resolution, from the origin on.
    """

    rows: int
    columns: int
    components: int
    bits: int
    plain: bool


def stream_header(stream: bytes) -> StreamHeader | None:
    """The header of a JPEG, JPEG-LS or JPEG 2000 stream; None where it has none that can be read."""
    try:
        if stream.startswith(_JPEG2000):
            return _jpeg2000_header(stream)
        for marker, start, length in _segments(stream):
            if marker in _SOF and length >= 6:
                bits, rows, columns, components = struct.unpack_from(">BHHB", stream, start)
                return StreamHeader(rows, columns, components, bits, components == 1)
    except struct.error:
        pass
    return None


def repaired_jpeg(stream: bytes) -> bytes:
    """A sequential JPEG whose scan says that it has all 64 coefficients, as it must (ITU-T T.81, Table B.3).

    Some writers of 12-bit films leave zeros there, and strict decoders refuse the whole stream.
    """
    sequential = False
    try:
        for marker, start, length in _segments(stream):
            sequential = sequential or marker in _SOF_SEQUENTIAL
            if marker == _SOS and sequential and length >= 4:
                selection = start + 1 + 2 * stream[start]
                if stream[selection : selection + 2] == bytes((0, _LAST_COEFFICIENT)):
                    return stream
                return stream[:selection] + bytes((0, _LAST_COEFFICIENT)) + stream[selection + 2 :]
    except (struct.error, IndexError):
        pass
    return stream


def boxed_jpeg2000(stream: bytes, header: StreamHeader) -> bytes:
    """A bare codestream in a JP2 file (ISO/IEC 15444-1 Annex I) that says that it is grey."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    image = struct.pack(">IIHBBBB", header.rows, header.columns, 1, header.bits - 1, 7, 0, 0)
    grey = struct.pack(">BBBI", 1, 0, 0, 17)
    return b"".join(
        (
            box(b"jP  ", b"\r\n\x87\n"),
            box(b"ftyp", b"jp2 \0\0\0\0jp2 "),
            box(b"jp2h", box(b"ihdr", image) + box(b"colr", grey)),
            # A length of 0 means "to the end of the file".
            struct.pack(">I", 0) + b"jp2c",
            stream,
        )
    )


def _segments(stream: bytes) -> list[tuple[int, int, int]]:
    """Marker, start and length of the content of each JPEG segment, up to the first scan's header."""
    found: list[tuple[int, int, int]] = []
    if not stream.startswith(_JPEG):
        return found
    place = 2
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF or marker in _STANDALONE:
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", stream, place + 2)
        found.append((marker, place + 4, length - 2))
        if marker == _SOS or length < 2:
            break
        place += 2 + length
    return found


def _jpeg2000_header(stream: bytes) -> StreamHeader:
    """The SIZ marker segment, ISO/IEC 15444-1 A.5.1."""
    right, bottom, left, top = struct.unpack_from(">IIII", stream, 8)
    (components,) = struct.unpack_from(">H", stream, 40)
    depth, across, down = struct.unpack_from(">BBB", stream, 42)
    return StreamHeader(
        rows=bottom - top,
        columns=right - left,
        components=components,
        bits=(depth & 0x7F) + 1,
        plain=components == 1 and not depth & 0x80 and (across, down, left, top) == (1, 1, 0, 0),
    )
