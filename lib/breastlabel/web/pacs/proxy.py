"""``/dicom-web``: what viewers in the browser ask goes to the PACS, and its answers come back as ours.

The browser neither learns where the PACS is nor how one gets in. Nothing else of the PACS can be reached: a
path must name a resource of DICOMweb, and the address below which it lies is the server's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, Any

import httpx
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from breastlabel.label.routes.roles import ANNOTATOR, USER
from breastlabel.web.dicomweb.accept import JSON_TYPE, check_json
from breastlabel.web.dicomweb.places import ROOT, root_url
from breastlabel.web.own_objects import OwnObjects
from breastlabel.web.pacs.addresses import Resource, Rewriter, resource_of
from breastlabel.web.pacs.multipart import boundary_of
from breastlabel.web.pacs.screening import Screen, screen_for
from breastlabel.web.pacs.transport import MIRROR_HEADER
from breastlabel.web.pacs.upstream import Upstream

if TYPE_CHECKING:
    from breastlabel.web.pacs.pacs import Pacs

__all__ = ["router"]

#: Of a request, and of an answer, what concerns the resource: not who asks, nor how the connection is kept.
_ASKED = ("accept", "accept-language", "if-match", "if-none-match", "if-modified-since", "range", "if-range")
_ANSWERED = (
    *("content-type", "content-range", "content-disposition", "accept-ranges", "cache-control", "expires"),
    *("etag", "last-modified", "warning", "retry-after", "vary"),
)
#: What a PACS says that its client is to hear; anything else is a matter between it and this server.
_PASSED = frozenset({400, 404, 406, 409, 410, 412, 413, 415, 416})
_LONGEST_QUERY = 8192
#: Bytes of a description that is looked through as a whole.
_MOST_SCREENED = 256 << 20
_AS_DATA = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}


def router(pacs: Pacs, own: OwnObjects) -> APIRouter:
    """The routes, which hold no thread while the PACS takes its time.

    Args:
        own: which objects of ours are kept from whom.
    """
    routes = APIRouter(prefix=ROOT, tags=["DICOMweb"])
    upstream = Upstream(pacs.settings, name=pacs.name)
    pacs.on_close.append(upstream.close)

    @routes.get("/{path:path}", dependencies=USER, summary="Search or retrieve (QIDO-RS, WADO-RS)")
    async def get(path: str, request: Request) -> Response:
        resource = _named(path, request, pacs)
        headers = {name: _plain(request.headers[name]) for name in _ASKED if name in request.headers}
        if resource.is_metadata:
            check_json(request)
            headers["accept"] = JSON_TYPE
        if (screen := await screen_for(own, resource)) is not None:
            screen.check()
            if resource.is_metadata:
                # What is kept from the reader goes by the whole answer, and by who asks.
                headers = {"accept": headers["accept"]}
        answer = await upstream.send("GET", resource, query=_query(request), headers=headers)
        return await _answered(answer, resource, Rewriter(pacs.settings.url, root_url(request)), screen)

    @routes.post("/{path:path}", dependencies=ANNOTATOR, summary="Store (STOW-RS)")
    async def post(path: str, request: Request) -> Response:
        resource = _named(path, request, pacs, store=True)
        content_type = _plain(request.headers.get("content-type", ""))
        boundary = boundary_of(content_type)
        if (
            boundary is None
            or "application/dicom" not in content_type
            or "+" in content_type.partition(";")[2]
        ):
            raise HTTPException(
                415, 'a body of multipart/related; type="application/dicom" with a boundary is required'
            )
        headers = {"content-type": content_type, "accept": JSON_TYPE}
        if length := request.headers.get("content-length"):
            headers["content-length"] = length
        with tempfile.TemporaryFile() as copy:
            answer = await upstream.send("POST", resource, headers=headers, body=_kept(request, copy))
            async with aclosing(answer):
                said = await _small(answer)
            if answer.status_code not in (200, 202, 409):
                return _refused(answer)
            # In this request, so that who has stored a segmentation finds it as a label at once.
            await run_in_threadpool(pacs.take_stored, copy, boundary, said)
        ours = Rewriter(pacs.settings.url, root_url(request)).text(said)
        kind = answer.headers.get("content-type", JSON_TYPE)
        return Response(ours, answer.status_code, media_type=kind, headers=_AS_DATA)

    return routes


def _named(path: str, request: Request, pacs: Pacs, *, store: bool = False) -> Resource:
    """The resource that a request is about.

    Raises:
        HTTPException: it is none, or the request is our own.
    """
    if request.headers.get(MIRROR_HEADER) == pacs.name:
        raise HTTPException(
            508, "the studies' address leads back to this server; name the PACS with --studies"
        )
    resource = resource_of(path, store=store)
    if resource is None:
        raise HTTPException(404, "a resource of DICOMweb is required; this path names none")
    return resource


def _query(request: Request) -> str:
    """The query string as it came.

    Raises:
        HTTPException: it is too long, or no part of a URL.
    """
    query: bytes = request.scope["query_string"]
    if len(query) > _LONGEST_QUERY:
        raise HTTPException(
            414, f"a query of at most {_LONGEST_QUERY} characters is required; this one is longer"
        )
    return _plain(query.decode("latin-1"))


def _plain(text: str) -> str:
    """A text that may stand in a request.

    Raises:
        HTTPException: it holds other characters.
    """
    if not text.isascii() or not text.isprintable():
        raise HTTPException(400, "a request of ASCII characters is required; escape others, as in %C3%B6")
    return text


async def _answered(
    answer: httpx.Response, resource: Resource, rewriter: Rewriter, screen: Screen | None
) -> Response:
    """The PACS's answer as it comes, with our addresses in it."""
    if answer.status_code not in (200, 204, 206, 304):
        await answer.aclose()
        return _refused(answer)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind in (JSON_TYPE, "application/json")
    if resource.is_metadata and answer.status_code != 204 and answer.status_code != 304 and not is_json:
        await answer.aclose()
        return _detail(
            502, f"{JSON_TYPE} is required of the PACS; it gave something else; check the path in --studies"
        )
    if screen is not None and resource.is_metadata and answer.status_code != 204:
        async with aclosing(answer):
            found = screen.of_answer(await _small(answer, _MOST_SCREENED))
        kept = {"content-type": JSON_TYPE, "cache-control": "no-store", **_AS_DATA}
        return Response(rewriter.text(found), answer.status_code, kept)
    headers = _kept_headers(answer.headers)
    chunks: AsyncIterator[bytes] = answer.aiter_raw()
    if is_json or kind.endswith("xml"):
        chunks = rewriter.texts(chunks)
    elif boundary := boundary_of(answer.headers.get("content-type", "")):
        chunks = rewriter.parts(chunks, boundary)
    elif length := answer.headers.get("content-length"):
        headers["content-length"] = length
    return StreamingResponse(_closing(chunks, answer), answer.status_code, headers)


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in _ANSWERED if name in headers}
    # Images of patients do not belong in a cache that people share. What a PACS gives as HTML or SVG, whoever
    # stored it there, must not run in our pages' name.
    return {"cache-control": "private", **kept, **_AS_DATA}


async def _closing(chunks: AsyncIterator[bytes], answer: httpx.Response) -> AsyncIterator[bytes]:
    """Lets go of the PACS's connection whether or not the browser hears the answer out."""
    async with aclosing(answer):
        async for chunk in chunks:
            yield chunk


async def _kept(request: Request, copy: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            await run_in_threadpool(copy.write, chunk)
            yield chunk
    except ClientDisconnect:
        raise HTTPException(400, "a whole body is required; the client went away before its end") from None


async def _small(answer: httpx.Response, most: int = 1 << 20) -> bytes:
    said = b""
    async for chunk in answer.aiter_raw():
        said += chunk
        if len(said) > most:
            raise HTTPException(502, "an answer of DICOMweb is required of the PACS; it gave too much")
    return said


def _refused(answer: httpx.Response) -> Response:
    """Without the PACS's own words, in which there may be addresses and identifiers."""
    status = answer.status_code
    if status in _PASSED:
        return _detail(status, f"a request that the PACS can answer is required; it said {status}")
    if status in (401, 403, 407):
        return _detail(502, "the PACS refuses this server's credentials; its engineer must set them right")
    if status in (408, 429, 503, 504):
        return _detail(503, f"the PACS is busy or down ({status}); try again", {"Retry-After": "5"})
    return _detail(502, f"an answer of DICOMweb is required of the PACS; it said {status}; look at its log")


def _detail(status: int, detail: str, headers: Any = None) -> Response:
    return JSONResponse({"detail": detail}, status, headers)
