"""QIDO-RS: search for studies, series and instances (PS3.18 10.6)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import APIRouter, HTTPException, Request, Response

from breastlabel.catalog.dicom_instance import (
    INSTANCE_LEVEL,
    SERIES_LEVEL,
    STUDY_LEVEL,
    DicomInstance,
    tags_of,
)
from breastlabel.catalog.dicom_matching import level_of
from breastlabel.catalog.dicom_search import (
    FoundSeries,
    FoundStudy,
    search_instances,
    search_series,
    search_studies,
)
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.label.routes.roles import USER
from breastlabel.web.dicomweb.accept import JSON_TYPE, check_json
from breastlabel.web.dicomweb.places import (
    Uid,
    check_uids,
    instance_url,
    root_url,
    series_url,
    study_url,
)
from breastlabel.web.own_objects import OwnObjects

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["add_routes"]

#: What one answer holds at most; the rest is asked for with ``offset``.
_MOST = {"studies": 1000, "series": 2000, "instances": 5000}
_NO_ATTRIBUTES = ("limit", "offset", "includefield", "fuzzymatching", "accept", "charset")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NAME = re.compile(r"[A-Za-z0-9.]{1,64}")
#: Those that an answer has to have, empty where nothing is known (PS3.18 Tables 10.6.3-3 to 10.6.3-5).
_OF_STUDY = {
    "StudyDate": "DA",
    "StudyTime": "TM",
    "AccessionNumber": "SH",
    "ReferringPhysicianName": "PN",
    "PatientName": "PN",
    "PatientID": "LO",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
    "StudyID": "SH",
}
_OF_SERIES = {"SeriesNumber": "IS"}
_OF_INSTANCE = {"InstanceNumber": "IS"}


class _Query(NamedTuple):
    """What a URL asks for.

    Attributes:
        unknown: names that are not matched, as far as they can be repeated.
    """

    wanted: dict[str, list[str]]
    limit: int
    offset: int
    unknown: list[str]

    @property
    def page(self) -> dict[str, int]:
        """``limit`` and ``offset``."""
        return {"limit": self.limit, "offset": self.offset}

    @property
    def study(self) -> str | None:
        """The study that is searched; None where it is more than one."""
        named = self.wanted.get("StudyInstanceUID", [])
        return named[0] if len(named) == 1 and is_uid(named[0]) else None


def add_routes(routes: APIRouter, app: BreastLabelApp) -> None:
    """The searches."""
    database, own = app.catalog.database, OwnObjects(app)

    @routes.get("/studies", summary="Search for studies", dependencies=USER)
    def studies(request: Request) -> Response:
        query, root = _query(request, "studies"), root_url(request)
        found = search_studies(database, query.wanted, **query.page, ours=own.shown(query.study))
        return _answer((_study(study, root) for study in found), query, len(found))

    @routes.get("/series", summary="Search for series", dependencies=USER)
    def all_series(request: Request) -> Response:
        return _series_answer(request, None)

    @routes.get("/studies/{study}/series", summary="Search for series of a study", dependencies=USER)
    def series_of_study(request: Request, study: Uid) -> Response:
        return _series_answer(request, study)

    @routes.get("/instances", summary="Search for instances", dependencies=USER)
    def all_instances(request: Request) -> Response:
        return _instances_answer(request, None, None)

    @routes.get("/studies/{study}/instances", summary="Search for instances of a study", dependencies=USER)
    def instances_of_study(request: Request, study: Uid) -> Response:
        return _instances_answer(request, study, None)

    @routes.get(
        "/studies/{study}/series/{series}/instances",
        summary="Search for instances of a series",
        dependencies=USER,
    )
    def instances_of_series(request: Request, study: Uid, series: Uid) -> Response:
        return _instances_answer(request, study, series)

    def _series_answer(request: Request, study: str | None) -> Response:
        query, root = _query(request, "series", StudyInstanceUID=study), root_url(request)
        found = search_series(database, query.wanted, **query.page, ours=own.shown(query.study))
        return _answer((_series(one, root, alone=study is None) for one in found), query, len(found))

    def _instances_answer(request: Request, study: str | None, series: str | None) -> Response:
        query = _query(request, "instances", StudyInstanceUID=study, SeriesInstanceUID=series)
        found = search_instances(database, query.wanted, **query.page, ours=own.shown(query.study))
        root = root_url(request)
        return _answer((_instance(one, root, alone=study is None) for one in found), query, len(found))


def _query(request: Request, what: str, **place: str | None) -> _Query:
    check_json(request)
    check_uids(*place.values())
    wanted = {keyword: [uid] for keyword, uid in place.items() if uid is not None}
    unknown: list[str] = []
    for name, value in request.query_params.multi_items():
        if name in _NO_ATTRIBUTES:
            continue
        keyword = _keyword(name)
        if keyword is None or level_of(keyword) is None:
            unknown.append(name if _NAME.fullmatch(name) else "(not repeated)")
        elif keyword not in place or place[keyword] is None:
            # PostgreSQL takes no NUL, and no attribute holds one.
            wanted.setdefault(keyword, []).append(value.replace("\0", ""))
    most = _MOST[what]
    return _Query(
        wanted=wanted,
        limit=min(_number(request, "limit", most), most),
        offset=_number(request, "offset", 0),
        unknown=sorted(set(unknown)),
    )


def _keyword(name: str) -> str | None:
    """An attribute's keyword, by which or by whose tag it is named."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(int(name, 16)) or None if _TAG.fullmatch(name) else name


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return otherwise
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise HTTPException(400, f"{name} must be a whole number of 0 or more; got another; correct it")
    return int(text)


def _answer(found: Iterable[Mapping[str, Any]], query: _Query, number: int) -> Response:
    content = [dict(sorted(one.items())) for one in found]
    answer = Response(json.dumps(content, ensure_ascii=False), media_type=JSON_TYPE)
    notes = []
    if query.unknown:
        notes.append(f"these parameters are not supported and were ignored: {', '.join(query.unknown)}")
    if number == query.limit and number in _MOST.values():
        notes.append("there may be more results; ask for the rest with offset")
    if notes:
        answer.headers["Warning"] = f'299 breastlabel "{"; ".join(notes)}"'
    return answer


def _study(study: FoundStudy, root: str) -> dict[str, Any]:
    return _filled(study.attributes, STUDY_LEVEL, _OF_STUDY) | _elements(
        SpecificCharacterSet=("CS", "ISO_IR 192"),
        InstanceAvailability=("CS", "ONLINE"),
        ModalitiesInStudy=("CS", *study.modalities),
        RetrieveURL=("UR", study_url(root, study.study_instance_uid)),
        StudyInstanceUID=("UI", study.study_instance_uid),
        NumberOfStudyRelatedSeries=("IS", study.series),
        NumberOfStudyRelatedInstances=("IS", study.instances),
    )


def _series(series: FoundSeries, root: str, *, alone: bool) -> dict[str, Any]:
    one = series.first
    above = _filled(one.attributes, STUDY_LEVEL, _OF_STUDY) if alone else {}
    return (
        above
        | _filled(one.attributes, SERIES_LEVEL, _OF_SERIES)
        | _elements(
            SpecificCharacterSet=("CS", "ISO_IR 192"),
            InstanceAvailability=("CS", "ONLINE"),
            StudyInstanceUID=("UI", one.study_instance_uid),
            RetrieveURL=("UR", series_url(root, one.study_instance_uid, one.series_instance_uid)),
            NumberOfSeriesRelatedInstances=("IS", series.instances),
        )
    )


def _instance(one: DicomInstance, root: str, *, alone: bool) -> dict[str, Any]:
    above = _filled(one.attributes, STUDY_LEVEL, _OF_STUDY) if alone else {}
    return (
        above
        | _filled(one.attributes, SERIES_LEVEL, _OF_SERIES)
        | _filled(one.attributes, INSTANCE_LEVEL, _OF_INSTANCE)
        | _elements(
            SpecificCharacterSet=("CS", "ISO_IR 192"),
            InstanceAvailability=("CS", "ONLINE"),
            StudyInstanceUID=("UI", one.study_instance_uid),
            RetrieveURL=("UR", instance_url(root, one)),
        )
    )


def _filled(
    attributes: Mapping[str, Any], level: tuple[str, ...], needed: Mapping[str, str]
) -> dict[str, Any]:
    """The attributes of a level, those that an answer has to have also where nothing is known."""
    empty = {tag: {"vr": vr} for tag, vr in zip(tags_of(tuple(needed)), needed.values(), strict=True)}
    return empty | {tag: attributes[tag] for tag in tags_of(level) if tag in attributes}


def _elements(**values: tuple[Any, ...]) -> dict[str, Any]:
    tags = tags_of(tuple(values))
    return {tag: {"vr": v[0], "Value": list(v[1:])} for tag, v in zip(tags, values.values(), strict=True)}
