"""STOW-RS: store instances (PS3.18 10.5)."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response

from breastlabel.catalog.dicom_instance import tags_of
from breastlabel.label.caller import caller
from breastlabel.label.routes.roles import ANNOTATOR
from breastlabel.web.dicomweb.accept import JSON_TYPE, check_json
from breastlabel.web.dicomweb.incoming import ReceivedPart, received_parts
from breastlabel.web.dicomweb.places import Uid, check_uids, instance_url, root_url, study_url
from breastlabel.web.dicomweb.received import NOT_UNDERSTOOD, OUT_OF_RESOURCES, RefusedError
from breastlabel.web.dicomweb.storing import StoredInstance

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["add_routes"]

_DICOM = "application/dicom"


def add_routes(routes: APIRouter, app: BreastLabelApp) -> None:
    """Storing."""

    async def parts_of(request: Request) -> AsyncIterator[list[ReceivedPart]]:
        check_json(request)
        async with received_parts(request, app.archive.incoming()) as parts:
            yield parts

    def store_anywhere(request: Request, parts: Any = Depends(parts_of)) -> Response:
        return _stored(app, request, parts, None)

    def store_in_study(request: Request, study: Uid, parts: Any = Depends(parts_of)) -> Response:
        check_uids(study)
        return _stored(app, request, parts, study)

    body = {
        "requestBody": {
            "required": True,
            "content": {
                f'multipart/related; type="{_DICOM}"': {"schema": {"type": "string", "format": "binary"}}
            },
        }
    }
    for path, function, summary in (
        ("/studies", store_anywhere, "Store instances"),
        ("/studies/{study}", store_in_study, "Store instances of a study"),
    ):
        routes.add_api_route(
            path, function, methods=["POST"], summary=summary, dependencies=ANNOTATOR, openapi_extra=body
        )


def _stored(
    app: BreastLabelApp, request: Request, parts: Sequence[ReceivedPart], study: str | None
) -> Response:
    done: list[StoredInstance] = []
    refused: list[RefusedError] = []
    for part in parts:
        try:
            if part.media != _DICOM:
                raise RefusedError(
                    NOT_UNDERSTOOD, f"parts of {_DICOM} are required; this one is of another type; send it so"
                )
            done.append(app.archive.store_file(part.file, origin="stow", study=study))
        except RefusedError as error:
            refused.append(error)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            refused.append(RefusedError(OUT_OF_RESOURCES, "the server's disk is full; free some space"))
    app.catalog.audit.append(
        "dicom.store",
        author=caller().author(),
        client_id=caller().client_id(),
        details={"new": sum(s.is_new for s in done), "known": sum(not s.is_new for s in done)}
        | ({"refused": len(refused)} if refused else {}),
    )
    status = 200 if not refused else 202 if done else 409
    answer = _described(done, refused, root_url(request))
    return Response(json.dumps(answer), status, media_type=JSON_TYPE)


def _described(done: Sequence[StoredInstance], refused: Sequence[RefusedError], root: str) -> dict[str, Any]:
    """The Store Instances Response Module, PS3.18 I.2."""
    answer: dict[str, Any] = {}
    studies = {stored.instance.study_instance_uid for stored in done}
    if len(studies) == 1:
        answer |= _element("RetrieveURL", "UR", study_url(root, studies.pop()))
    if done:
        answer |= _sequence(
            "ReferencedSOPSequence",
            [
                _element("ReferencedSOPClassUID", "UI", stored.instance.sop_class_uid)
                | _element("ReferencedSOPInstanceUID", "UI", stored.instance.sop_instance_uid)
                | _element("RetrieveURL", "UR", instance_url(root, stored.instance))
                for stored in done
            ],
        )
    named = [error for error in refused if error.sop_class_uid and error.sop_instance_uid]
    if named:
        answer |= _sequence("FailedSOPSequence", [_failure(error) for error in named])
    if len(named) < len(refused):
        answer |= _sequence("OtherFailuresSequence", [_failure(e) for e in refused if e not in named])
    return dict(sorted(answer.items()))


def _failure(error: RefusedError) -> dict[str, Any]:
    # The reason in words: not of this module, but what other servers send, and what viewers show.
    found = _element("FailureReason", "US", error.code) | {"00000902": {"vr": "LO", "Value": [str(error)]}}
    if error.sop_class_uid and error.sop_instance_uid:
        found |= _element("ReferencedSOPClassUID", "UI", error.sop_class_uid)
        found |= _element("ReferencedSOPInstanceUID", "UI", error.sop_instance_uid)
    return dict(sorted(found.items()))


def _element(keyword: str, vr: str, value: object) -> dict[str, Any]:
    return {tags_of((keyword,))[0]: {"vr": vr, "Value": [value]}}


def _sequence(keyword: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {tags_of((keyword,))[0]: {"vr": "SQ", "Value": items}}
