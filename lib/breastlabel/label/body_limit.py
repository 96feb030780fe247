"""Bounds what a request may bring, so that no client can fill the server's memory or its disk."""

from __future__ import annotations

import os

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from breastlabel.errors import StudiesError

__all__ = [
    "ARCHIVE_LIMIT",
    "MOST_BYTES",
    "MOST_BYTES_OF_DICOM",
    "MOST_BYTES_OF_FILES",
    "MOST_BYTES_OF_LOGIN",
    "BodyLimit",
    "most_bytes_of_archive",
]

#: Of options, which are held in memory.
MOST_BYTES = 8 * 2**20
#: Of what anybody may send, before a login: a name and a password.
MOST_BYTES_OF_LOGIN = 16 * 2**10
#: Of one segmentation, held in memory too: four full-field mammograms at 16 bits a pixel take 110 MB.
MOST_BYTES_OF_DICOM = 256 * 2**20
#: Of a form with files, which lie on the disk meanwhile. A cine loop in a DICOM file takes some hundred MiB.
MOST_BYTES_OF_FILES = 2 * 2**30
#: Set it to the GiB that one request may store in the archive; a modality sends a whole study at once.
ARCHIVE_LIMIT = "BREASTLABEL_STOW_GIB"
_ARCHIVE_GIB = 8.0
_ARCHIVE_PATH = "/dicom-web/studies"
_LOGIN_PATHS = ("/login", "/logout", "/auth")


def most_bytes_of_archive() -> int:
    """What one request may store in the archive: instances go from the network to the disk piece by piece.

    Raises:
        StudiesError: the site's setting is no number above 0.
    """
    text = os.environ.get(ARCHIVE_LIMIT, "").strip()
    try:
        gib = float(text) if text else _ARCHIVE_GIB
    except ValueError:
        gib = 0.0
    if not 0 < gib < 2**20:
        raise StudiesError(f"{ARCHIVE_LIMIT} must be a number of GiB above 0; got another; correct it")
    return int(gib * 2**30)


class BodyLimit:
    """Answers 413 to a request whose body is larger, before all of it was read."""

    def __init__(
        self, app: ASGIApp, *, most: int = MOST_BYTES, most_of_files: int = MOST_BYTES_OF_FILES
    ) -> None:
        self._app = app
        self._most = most
        self._most_of_files = most_of_files
        self._most_of_archive = most_bytes_of_archive()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count what comes with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").lower()
        most = self._most
        if scope["path"].startswith(_LOGIN_PATHS):
            most = min(most, MOST_BYTES_OF_LOGIN)
        elif kind.startswith("multipart/"):
            of_archive = scope["path"].startswith(_ARCHIVE_PATH)
            most = self._most_of_archive if of_archive else self._most_of_files
        elif kind.startswith("application/dicom") and not kind.startswith("application/dicom+"):
            most = max(most, MOST_BYTES_OF_DICOM)
        reason = f"a request of at most {most} bytes is required; this one is larger; send less at once"
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            await JSONResponse({"detail": reason}, 413)(scope, receive, send)
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise HTTPException(413, reason)
            return message

        await self._app(scope, counted, send)
