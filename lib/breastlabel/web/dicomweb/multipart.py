"""Answers of several parts, ``multipart/related`` (RFC 2387), sent while they are made."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fastapi.responses import StreamingResponse

__all__ = ["Part", "multipart_answer"]

_CHUNK = 1 << 20


class Part(NamedTuple):
    """One part.

    Attributes:
        media: its media type with parameters.
        content: its bytes, or the file that has them.
        location: the URL that the part alone has.
    """

    media: str
    content: bytes | Path
    location: str | None = None


def multipart_answer(parts: Iterable[Part], media: str) -> StreamingResponse:
    """The parts as they come.

    The first is made before the answer begins, so that what goes wrong with it still has a status of its own.

    Args:
        media: the type of the parts.
    """
    boundary = secrets.token_hex(16)
    coming = iter(parts)
    first = next(coming, None)

    def all_parts() -> Iterator[Part]:
        if first is not None:
            yield first
        yield from coming

    return StreamingResponse(
        _written(all_parts(), boundary),
        media_type=f'multipart/related; type="{media}"; boundary={boundary}',
    )


def _written(parts: Iterator[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        head = [f"--{boundary}", f"Content-Type: {part.media}"]
        size = part.content.stat().st_size if isinstance(part.content, Path) else len(part.content)
        head.append(f"Content-Length: {size}")
        if part.location:
            head.append(f"Content-Location: {part.location}")
        yield ("\r\n".join(head) + "\r\n\r\n").encode("ascii", "replace")
        yield from _chunks(part.content)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
