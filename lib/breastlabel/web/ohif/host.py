"""``/ohif/``: the viewer's files, its configuration, and our extension of it."""

from __future__ import annotations

import html
import mimetypes
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from breastlabel.label.routes.roles import USER
from breastlabel.web.ohif.config import app_config, content_security_policy
from breastlabel.web.ohif.release import FOLDER_VARIABLE, VERSION, viewer_folder

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["EXTENSION_FOLDER", "file_within", "router"]

EXTENSION_FOLDER: Final = Path(__file__).parents[1] / "assets" / "ohif"
#: The machine's own table may know none of these, or take a module's script for plain text.
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>OHIF is not here yet</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:3em auto;padding:0 1em;
background:#0b0d10;color:#dfe5ec}}code{{background:#1c2229;padding:.1em .3em}}</style></head><body>
<h1>OHIF is not here yet</h1>
<p>The viewer ({version}) is a package of its own and is fetched once. On the server, run</p>
<p><code>scripts/fetch-ohif</code></p>
<p>and load this page again; the server need not be started anew. It looks in the folder that
<code>{variable}</code> names, or in <code>.ohif</code> beside <code>scripts</code>.</p>
<p>Everything else (the worklist, Slicer, DICOMweb) works without it.</p>
</body></html>"""


def file_within(folder: Path, path: str) -> Path | None:
    """The file that a request's path names, if it lies within the folder, links followed."""
    name = PurePosixPath(path)
    if "\0" in path or "\\" in path or name.is_absolute() or ".." in name.parts:
        return None
    file = (folder / name).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None


def router(app: BreastLabelApp) -> APIRouter:
    """``GET /ohif/...``."""
    routes = APIRouter(include_in_schema=False, dependencies=USER)

    @routes.get("/ohif")
    def without_slash() -> RedirectResponse:
        return RedirectResponse("/ohif/")

    @routes.get("/ohif/app-config.js")
    def configuration() -> Response:
        return Response(app_config(), media_type=_TYPES[".js"], headers={"Cache-Control": "no-cache"})

    @routes.get("/ohif/breastlabel/{path:path}")
    def extension(path: str, request: Request) -> Response:
        file = file_within(EXTENSION_FOLDER, path)
        if file is None:
            raise HTTPException(404, "the extension has no such file")
        return _answer(file, request)

    @routes.get("/ohif/{path:path}")
    def viewer(path: str, request: Request) -> Response:
        folder = viewer_folder()
        page = folder / "index.html"
        if not page.is_file():
            return HTMLResponse(_MISSING.format(version=html.escape(VERSION), variable=FOLDER_VARIABLE), 503)
        file = file_within(folder, path)
        if file is None:
            # The viewer's own addresses (a study list, a study in a mode) all lead to its one page.
            if PurePosixPath(path).suffix:
                raise HTTPException(404, "the viewer has no such file")
            file = page
        return _answer(file, request)

    return routes


def _answer(file: Path, request: Request) -> Response:
    """The file, packed where that exists and is understood; 304 where the browser has it already."""
    status = file.stat()
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    page = file.suffix == ".html"
    # A bundle's name changes with its content; all else is asked for again, which costs no transfer.
    lasting = ".bundle." in file.name and file.suffix == ".js"
    headers = {
        "ETag": etag,
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        "Cache-Control": "private, max-age=604800, immutable" if lasting else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }
    if page:
        headers["Content-Security-Policy"] = content_security_policy()
        headers["Referrer-Policy"] = "same-origin"
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known:
        return Response(status_code=304, headers=headers)
    packed = file.with_name(file.name + ".gz")
    media_type = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
        headers["Content-Encoding"] = "gzip"
        file = packed
    return FileResponse(file, media_type=media_type, headers=headers)
