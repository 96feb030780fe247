"""WADO-RS: retrieve studies, series and instances, their metadata, frames and pictures (PS3.18 10.4)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.label.routes.roles import USER
from breastlabel.web.dicomweb.accept import (
    ANY,
    JSON_TYPE,
    MediaRange,
    accepted,
    check_json,
    not_acceptable,
)
from breastlabel.web.dicomweb.frames import COLOUR_AS_STORED, Frames
from breastlabel.web.dicomweb.metadata import bulk_value, metadata_of
from breastlabel.web.dicomweb.multipart import Part, multipart_answer
from breastlabel.web.dicomweb.places import Uid, check_uids, instance_url, root_url
from breastlabel.web.dicomweb.rendered import PICTURES, Rendering, picture
from breastlabel.web.dicomweb.transcoded import EXPLICIT_LITTLE, NATIVE, in_syntax

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["add_routes"]

_DICOM, _BYTES = "application/dicom", "application/octet-stream"
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
_THUMBNAIL = "256,256"
_FRAMES = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")
_BULK = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8})*")
_MOST_FRAMES = 10_000


def add_routes(routes: APIRouter, app: BreastLabelApp) -> None:
    """Everything that is retrieved."""
    find = _finder(app)

    for path in (
        "/studies/{study}",
        "/studies/{study}/series/{series}",
        "/studies/{study}/series/{series}/instances/{instance}",
    ):
        _add_level(routes, path, app, find)
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
        return _picture_answer(app, request, found, numbers[0], small=small)

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


def _add_level(
    routes: APIRouter, path: str, app: BreastLabelApp, find: Callable[..., list[DicomInstance]]
) -> None:
    """Instances, metadata and pictures of a study, a series or an instance."""
    level = path.rpartition("{")[2].rstrip("}")

    def retrieve(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        return _instances_answer(app, request, find(study, series, instance))

    def metadata(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        check_json(request)
        return _metadata_answer(app, request, find(study, series, instance))

    def rendered(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        found = _first_picture(find(study, series, instance))
        return _picture_answer(app, request, found, 1, small=False)

    def thumbnail(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        found = _first_picture(find(study, series, instance))
        return _picture_answer(app, request, found, 1, small=True)

    for function, suffix, summary in (
        (retrieve, "", "Retrieve"),
        (metadata, "/metadata", "Retrieve the metadata of"),
        (rendered, "/rendered", "Retrieve a picture of"),
        (thumbnail, "/thumbnail", "Retrieve a small picture of"),
    ):
        article = "an" if level == "instance" else "a"
        routes.add_api_route(
            path + suffix,
            _with_path_of(function, level),
            methods=["GET"],
            summary=f"{summary} {article} {level}",
            name=f"{function.__name__}_{level}",
            dependencies=USER,
        )


def _with_path_of(function: Callable[..., Response], level: str) -> Callable[..., Response]:
    """The function with the parameters that a path of this level has."""

    def of_study(request: Request, study: Uid) -> Response:
        return function(request, study, None, None)

    def of_series(request: Request, study: Uid, series: Uid) -> Response:
        return function(request, study, series, None)

    def of_instance(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        return function(request, study, series, instance)

    return {"study": of_study, "series": of_series, "instance": of_instance}[level]


def _finder(app: BreastLabelApp) -> Callable[..., list[DicomInstance]]:
    def find(study: str, series: str | None = None, instance: str | None = None) -> list[DicomInstance]:
        check_uids(study, series, instance)
        if instance is None:
            found = app.catalog.dicom.find(study=study, series=series)
        else:
            one = app.catalog.dicom.instance(instance)
            place = one and (one.study_instance_uid, one.series_instance_uid)
            found = [one] if one is not None and place == (study, series) else []
        if not found:
            raise NotFoundError("a study, series or instance of the archive is required; there is none here")
        return found

    return find


def _instances_answer(app: BreastLabelApp, request: Request, found: list[DicomInstance]) -> Response:
    ranges, root = accepted(request), root_url(request)
    wanted = next((media for media in ranges if media.fits(_DICOM)), None)
    if wanted is None:
        raise not_acceptable([f'multipart/related; type="{_DICOM}"', _DICOM])
    if not wanted.multipart:
        if len(found) != 1:
            raise not_acceptable([f'multipart/related; type="{_DICOM}"'])
        part = _instance_part(app, found[0], wanted.syntax, root)
        content = part.content
        if isinstance(content, bytes):
            return Response(content, media_type=part.media)
        return StreamingResponse(_file_chunks(content), media_type=part.media)

    def parts() -> Iterator[Part]:
        for number, instance in enumerate(found):
            try:
                yield _instance_part(app, instance, wanted.syntax, root)
            except (NotFoundError, InvalidImageError, OSError):
                # One that was taken away meanwhile, or cannot be converted, must not cost the others.
                if number == 0 and len(found) == 1:
                    raise

    return multipart_answer(parts(), _DICOM)


def _instance_part(app: BreastLabelApp, instance: DicomInstance, syntax: str | None, root: str) -> Part:
    done = in_syntax(app.archive.file_of(instance), syntax)
    if done is None:
        raise not_acceptable([f"{_DICOM}; transfer-syntax={uid}" for uid in (ANY, *NATIVE)])
    return Part(f"{_DICOM}; transfer-syntax={done[0]}", done[1], instance_url(root, instance))


def _metadata_answer(app: BreastLabelApp, request: Request, found: list[DicomInstance]) -> Response:
    root = root_url(request)

    def described() -> Iterator[dict[str, Any]]:
        for instance in found:
            try:
                yield metadata_of(app.archive.file_of(instance), instance_url(root, instance))
            except (NotFoundError, InvalidImageError, OSError):
                if len(found) == 1:
                    raise

    return Response(json.dumps(list(described()), ensure_ascii=False), media_type=JSON_TYPE)


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


def _picture_answer(
    app: BreastLabelApp, request: Request, found: DicomInstance, number: int, *, small: bool
) -> Response:
    ranges = [
        media._replace(multipart=False) if media.media == "*/*" else media for media in accepted(request)
    ]
    single = [media for media in ranges if not media.multipart]
    media = next((kind for wanted in single for kind in PICTURES if wanted.fits(kind)), None)
    if media is None:
        raise not_acceptable(PICTURES)
    query = request.query_params
    rendering = Rendering.parsed(
        window=query.get("window"),
        viewport=query.get("viewport", _THUMBNAIL if small else None),
        quality=query.get("quality"),
    )
    data = picture(app.archive.file_of(found), number, media, rendering)
    return Response(data, media_type=media, headers={"Cache-Control": "private, max-age=3600"})


def _first_picture(found: list[DicomInstance]) -> DicomInstance:
    """Of several instances, the first image; segmentations and reports make no picture of a study."""
    return next((instance for instance in found if instance.image_id is not None), found[0])


def _frame_numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")] if _FRAMES.fullmatch(text) else []
    if not 1 <= len(numbers) <= _MOST_FRAMES:
        raise HTTPException(400, "frame numbers from 1 on, separated by commas, are required; got others")
    return numbers


def _file_chunks(path: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
