"""``/assets``: the pages' scripts and their style, as they lie in the package."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from breastlabel.errors import NotFoundError

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _Asset(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def router(app: BreastLabelApp) -> APIRouter:
    """The files are read once; a request's name is looked up among theirs and never becomes a path."""
    routes = APIRouter(include_in_schema=False)
    assets = _assets()

    @routes.get("/assets/{name}")
    def asset(name: str, request: Request) -> Response:
        found = assets.get(name)
        if found is None:
            raise NotFoundError(
                "a file of the pages is required; there is none of this name; reload the page"
            )
        # Asked about each time, so that an update of the package is seen at once.
        headers = {"ETag": found.etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

    return routes


def _assets() -> dict[str, _Asset]:
    found = {}
    for entry in (files("breastlabel.web") / "assets").iterdir():
        media_type = _TYPES.get(PurePosixPath(entry.name).suffix)
        if media_type is not None and entry.is_file():
            content = entry.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[entry.name] = _Asset(content, media_type, etag)
    return found
