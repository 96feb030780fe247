"""WADO-RS: retrieve single frames, and large values that the metadata only refer to (PS3.18 10.4.1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from breastlabel.label.routes.roles import USER
from breastlabel.web.dicomweb.accept import ANY, MediaRange, accepted, not_acceptable
from breastlabel.web.dicomweb.frames import COLOUR_AS_STORED, Frames
from breastlabel.web.dicomweb.metadata import bulk_value
from breastlabel.web.dicomweb.multipart import Part, multipart_answer
from breastlabel.web.dicomweb.pictures import picture_answer
from breastlabel.web.dicomweb.places import Uid, finder, instance_url, root_url
from breastlabel.web.dicomweb.transcoded import EXPLICIT_LITTLE, NATIVE

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["add_routes"]

_BYTES = "application/octet-stream"
#: The media types of compressed frames (PS3.18 Table 8.7.3-4).
_COMPRESSED = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
_FRAMES = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")
_BULK = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8})*")
_MOST_FRAMES = 10_000


def add_routes(routes: APIRouter, app: BreastLabelApp) -> None:
    """Frames and large values."""
    find = finder(app)
    path = "/studies/{study}/series/{series}/instances/{instance}"

    @routes.get(path + "/frames/{frames}", summary="Retrieve frames", dependencies=USER)
    def frames(request: Request, study: Uid, series: Uid, instance: Uid, frames: str) -> Response:
        (found,) = find(study, series, instance)
        numbers = _frame_numbers(frames)
        content = Frames(app.archive.file_of(found))
        for number in numbers:
            content.check(number)
        root = instance_url(root_url(request), found)
        return _frames_answer(accepted(request), content, numbers, root)

    @routes.get(
        path + "/frames/{frames}/rendered", summary="Retrieve a frame as a picture", dependencies=USER
    )
    @routes.get(path + "/frames/{frames}/thumbnail", include_in_schema=False, dependencies=USER)
    def rendered_frame(request: Request, study: Uid, series: Uid, instance: Uid, frames: str) -> Response:
        (found,) = find(study, series, instance)
        numbers = _frame_numbers(frames)
        if len(numbers) != 1:
            raise HTTPException(400, "one frame is required for a picture; got several; ask for each")
        small = request.url.path.endswith("/thumbnail")
        return picture_answer(app, request, found, numbers[0], small=small)

    @routes.get(path + "/bulkdata/{place:path}", summary="Retrieve a large value", dependencies=USER)
    def bulkdata(request: Request, study: Uid, series: Uid, instance: Uid, place: str) -> Response:
        (found,) = find(study, series, instance)
        if not _BULK.fullmatch(place):
            raise HTTPException(400, "a reference from the metadata is required; got another; ask for them")
        file = app.archive.file_of(found)
        if place.upper() == "7FE00010":
            content = Frames(file)
            root = instance_url(root_url(request), found)
            return _frames_answer(accepted(request), content, range(1, content.count + 1), root)
        return _bytes_answer(accepted(request), bulk_value(file, place), str(request.url))


def _frames_answer(
    ranges: Sequence[MediaRange], frames: Frames, numbers: Sequence[int], url: str
) -> Response:
    stored = _COMPRESSED.get(frames.syntax) if frames.is_compressed else None
    for wanted in ranges:
        if not wanted.multipart and len(numbers) != 1:
            continue
        any_syntax = wanted.syntax in (ANY, None)
        as_colour = frames.syntax == COLOUR_AS_STORED and frames.samples > 1 and wanted.syntax == ANY
        if (
            stored
            and wanted.media != "*/*"
            and wanted.fits(stored)
            and wanted.syntax in (ANY, None, frames.syntax)
        ):
            return _as_stored(frames, numbers, stored, url, multipart=wanted.multipart)
        if wanted.fits(_BYTES):
            if stored and (as_colour or wanted.syntax == frames.syntax):
                return _as_stored(frames, numbers, stored, url, multipart=wanted.multipart)
            if any_syntax or wanted.syntax in NATIVE:
                return _as_native(frames, numbers, url, multipart=wanted.multipart)
    offered = [f'multipart/related; type="{_BYTES}"; transfer-syntax={EXPLICIT_LITTLE}']
    raise not_acceptable(offered + ([f'multipart/related; type="{stored}"'] if stored else []))


def _as_stored(frames: Frames, numbers: Sequence[int], media: str, url: str, *, multipart: bool) -> Response:
    full = f"{media}; transfer-syntax={frames.syntax}"
    if not multipart:
        return Response(frames.stored(numbers[0]), media_type=full)
    return multipart_answer((Part(full, frames.stored(n), f"{url}/frames/{n}") for n in numbers), media)


def _as_native(frames: Frames, numbers: Sequence[int], url: str, *, multipart: bool) -> Response:
    full = f"{_BYTES}; transfer-syntax={EXPLICIT_LITTLE}"
    if not multipart:
        return Response(frames.native(numbers[0]), media_type=full)
    return multipart_answer((Part(full, frames.native(n), f"{url}/frames/{n}") for n in numbers), _BYTES)


def _bytes_answer(ranges: Sequence[MediaRange], value: bytes, url: str) -> Response:
    wanted = next((media for media in ranges if media.fits(_BYTES)), None)
    if wanted is None:
        raise not_acceptable([f'multipart/related; type="{_BYTES}"', _BYTES])
    if not wanted.multipart:
        return Response(value, media_type=_BYTES)
    return multipart_answer([Part(_BYTES, value, url)], _BYTES)


def _frame_numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")] if _FRAMES.fullmatch(text) else []
    if not 1 <= len(numbers) <= _MOST_FRAMES:
        raise HTTPException(400, "frame numbers from 1 on, separated by commas, are required; got others")
    return numbers
