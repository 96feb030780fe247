"""The parts of a multipart message that lies in a file (RFC 2046, PS3.18 8.6)."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from email.message import Message
from typing import IO

__all__ = ["boundary_of", "parts_of"]

_MOST_PARTS = 10_000
#: Headers of a part are a few lines.
_MOST_HEADERS = 8192
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")


def boundary_of(content_type: str) -> str | None:
    """What parts the message, as its Content-Type says; None where it is no ``multipart/related``."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or boundary is None:
        return None
    return boundary if _BOUNDARY.fullmatch(boundary) else None


def parts_of(file: IO[bytes], boundary: str) -> Iterator[bytes]:
    """The content of each part, without its headers; nothing after damage.

    Args:
        file: a real one: it is mapped, so that no more than one part is in memory.
    """
    file.flush()
    file.seek(0, 2)
    if file.tell() == 0:
        return
    mark = f"--{boundary}".encode("latin-1")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = 0 if data[: len(mark)] == mark else data.find(b"\r\n" + mark) + 2
        if start == 1:
            return
        for _ in range(_MOST_PARTS):
            start += len(mark)
            if data[start : start + 2] == b"--":
                return
            end = data.find(b"\r\n" + mark, start)
            head = data.find(b"\r\n\r\n", start, min(start + _MOST_HEADERS, len(data)))
            if end < 0 or head < 0 or head > end:
                return
            yield data[head + 4 : end]
            start = end + 2
