"""WADO-RS: retrieve studies, series and instances, their metadata and pictures (PS3.18 10.4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.label.routes.roles import USER
from breastlabel.web.dicomweb.accept import (
    ANY,
    JSON_TYPE,
    accepted,
    check_json,
    not_acceptable,
)
from breastlabel.web.dicomweb.metadata import metadata_of
from breastlabel.web.dicomweb.multipart import Part, multipart_answer
from breastlabel.web.dicomweb.pictures import picture_answer
from breastlabel.web.dicomweb.places import Uid, finder, instance_url, root_url
from breastlabel.web.dicomweb.transcoded import NATIVE, in_syntax

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["add_routes"]

_DICOM = "application/dicom"


def add_routes(routes: APIRouter, app: BreastLabelApp) -> None:
    """Everything that is retrieved."""
    find = finder(app)

    for path in (
        "/studies/{study}",
        "/studies/{study}/series/{series}",
        "/studies/{study}/series/{series}/instances/{instance}",
    ):
        _add_level(routes, path, app, find)


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
        return picture_answer(app, request, found, 1, small=False)

    def thumbnail(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
        found = _first_picture(find(study, series, instance))
        return picture_answer(app, request, found, 1, small=True)

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

    of_level: dict[str, Callable[..., Response]]
    of_level = {"study": of_study, "series": of_series, "instance": of_instance}
    return of_level[level]


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


def _first_picture(found: list[DicomInstance]) -> DicomInstance:
    """Of several instances, the first image; segmentations and reports make no picture of a study."""
    return next((instance for instance in found if instance.image_id is not None), found[0])


def _file_chunks(path: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
