"""The body of a STOW request, part by part onto the disk: nothing of its size is held in memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from email.message import Message
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import anyio.to_thread
from fastapi import HTTPException, Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

__all__ = ["MOST_PARTS", "ReceivedPart", "received_parts"]

_DICOM = "application/dicom"
#: Instances in one request; a study has some hundred.
MOST_PARTS = 10_000
#: What is collected before it is written, so that small pieces do not each cost a change of threads.
_PIECE = 1 << 20


class ReceivedPart(NamedTuple):
    """One part of a request.

    Attributes:
        media: its media type, lower case; ``application/dicom`` where it says none.
        file: its content.
    """

    media: str
    file: Path


@contextlib.asynccontextmanager
async def received_parts(request: Request, folder: Path) -> AsyncIterator[list[ReceivedPart]]:
    """The parts of a ``multipart/related`` request, in files that are removed afterwards.

    Args:
        folder: in which they lie meanwhile.

    Raises:
        HTTPException: 415 another media type; 400 malformed, cut off or empty; 413 too many parts.
        OSError: the disk is full.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    with tempfile.TemporaryDirectory(dir=folder, prefix="stow-", ignore_cleanup_errors=True) as own:
        parts = _Parts(Path(own))
        try:
            parser = MultipartParser(boundary, callbacks=parts.callbacks())  # type: ignore[arg-type]
            held = bytearray()
            async for chunk in request.stream():
                held += chunk
                if len(held) >= _PIECE:
                    await anyio.to_thread.run_sync(parser.write, bytes(held))
                    held.clear()
            await anyio.to_thread.run_sync(partial(_finish, parser, bytes(held)))
        except (MultipartParseError, ClientDisconnect, ValueError) as error:
            raise _malformed() from error
        finally:
            parts.close()
        if not parts.is_complete or not parts.found:
            raise _malformed()
        yield parts.found


def _finish(parser: MultipartParser, data: bytes) -> None:
    parser.write(data)
    parser.finalize()


def _malformed() -> HTTPException:
    return HTTPException(
        400, "a whole multipart body with at least one part is required; this one is cut off or malformed"
    )


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    kind, inner = message.get_content_type(), message.get_param("type")
    boundary = message.get_param("boundary")
    if kind != "multipart/related" or str(inner or _DICOM).lower() != _DICOM:
        raise HTTPException(
            415,
            f'a request of multipart/related; type="{_DICOM}" is required; got another type; send whole '
            "DICOM files (metadata and bulk data apart are not taken)",
        )
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 200:
        raise HTTPException(400, "a multipart boundary is required; the request names none; send one")
    return boundary.encode("latin-1", "replace")


class _Parts:
    """What the parser finds."""

    def __init__(self, folder: Path) -> None:
        self.found: list[ReceivedPart] = []
        self.is_complete = False
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._name, self._value = b"", b""
        self._media = ""

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        if len(self.found) >= MOST_PARTS:
            raise HTTPException(413, f"at most {MOST_PARTS} parts are taken at once; send the rest apart")
        self._media = _DICOM

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.strip().lower() == b"content-type":
            self._media = self._value.decode("latin-1").partition(";")[0].strip().lower()
        self._name, self._value = b"", b""

    def _open(self) -> None:
        path = self._folder / f"{len(self.found)}.dcm"
        self._file = path.open("xb")
        self.found.append(ReceivedPart(self._media, path))

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self.close()

    def _complete(self) -> None:
        self.is_complete = True
