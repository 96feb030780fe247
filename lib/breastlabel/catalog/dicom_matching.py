"""What a DICOM query asks of an attribute, as a condition in SQL (PS3.4 C.2.2.2, PS3.18 8.3.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, exists, false, func, or_

from breastlabel.catalog.dicom_instance import tags_of
from breastlabel.catalog.dicom_looking import is_there
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import dicom_studies_table as studies
from breastlabel.catalog.tables import images_table as images
from breastlabel.errors import BreastLabelError
from breastlabel.imaging.dicom_values import is_uid

__all__ = ["Level", "QueryError", "condition", "level_of"]

_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,6})?)?)?")
_LAST_TIME = "235959.999999"
_ESCAPE = "\x1b"

Condition = ColumnElement[bool]


class QueryError(BreastLabelError, ValueError):
    """A query's value is none that its attribute can have."""


class Level(StrEnum):
    """Of what an attribute speaks."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True)
class _Attribute:
    level: Level
    matched: Callable[[ColumnElement[Any], str, Sequence[str]], Condition]
    column: ColumnElement[Any]


def level_of(keyword: str) -> Level | None:
    """The level of an attribute that can be matched; None for any other."""
    found = _attributes().get(keyword)
    return found.level if found else None


def condition(keyword: str, values: Sequence[str]) -> Condition | None:
    """What it takes to match.

    Args:
        values: as they came, one for each time that the attribute was given; any of them suffices.

    Returns:
        None where everything matches.

    Raises:
        QueryError: a date or time is none.
        KeyError: the attribute cannot be matched.
    """
    attribute = _attributes()[keyword]
    given = [value.strip() for value in values if value.strip() not in ("", "*")]
    return attribute.matched(attribute.column, keyword, given) if given else None


def _uids(column: ColumnElement[Any], _keyword: str, values: Sequence[str]) -> Condition:
    wanted = [part for value in values for part in re.split(r"[,\\]", value)]
    return column.in_([uid for uid in map(str.strip, wanted) if is_uid(uid)])


def _codes(column: ColumnElement[Any], keyword: str, values: Sequence[str]) -> Condition:
    wanted = [part.strip().upper() for value in values for part in re.split(r"[,\\]", value)]
    return or_(false(), *(_text(column, keyword, [part]) for part in wanted if part))


def _text(column: ColumnElement[Any], _keyword: str, values: Sequence[str]) -> Condition:
    return or_(*(_like(column, value) if _is_pattern(value) else column == value for value in values))


def _folded(column: ColumnElement[Any], _keyword: str, values: Sequence[str]) -> Condition:
    """The column holds text in one case."""
    return _text(column, _keyword, [value.casefold() for value in values])


def _lowered(column: ColumnElement[Any], _keyword: str, values: Sequence[str]) -> Condition:
    return _text(func.lower(column), _keyword, [value.lower() for value in values])


def _dates(column: ColumnElement[Any], keyword: str, values: Sequence[str]) -> Condition:
    return or_(*(_range(column, *_ends(keyword, value, _day, _day)) for value in values))


def _times(column: ColumnElement[Any], keyword: str, values: Sequence[str]) -> Condition:
    return or_(*(_range(column, *_ends(keyword, value, _first_moment, _last_moment)) for value in values))


def _modalities(column: ColumnElement[Any], keyword: str, values: Sequence[str]) -> Condition:
    """A study with at least one instance of them."""
    other, image = instances.alias(), images.alias()
    there = or_(
        other.c.image_id.is_(None), exists().where(image.c.image_id == other.c.image_id, is_there(image))
    )
    return exists().where(
        other.c.study_instance_uid == column, _codes(other.c.modality, keyword, values), there
    )


def _range(column: ColumnElement[Any], low: str | None, high: str | None) -> Condition:
    # What is not known is stored as an empty text, and matches no range.
    limits = [column >= (low or "0")]
    return and_(*limits, column <= high) if high is not None else and_(*limits)


def _ends(
    keyword: str, value: str, first: Callable[[str], str | None], last: Callable[[str], str | None]
) -> tuple[str | None, str | None]:
    low, dash, high = (part.strip() for part in value.partition("-"))
    ends = first(low) if low else None, last(high if dash else low) if (high or not dash) else None
    wrong = (low and ends[0] is None) or ((high or not dash) and ends[1] is None) or not (low or high)
    if wrong:
        raise QueryError(
            f"{keyword} must be a value or a range a-b, -b or a- of DICOM's own form; got another; correct it"
        )
    return ends


def _day(text: str) -> str | None:
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return text if _DATE.fullmatch(text) else None


def _first_moment(text: str) -> str | None:
    return text + "000000.000000"[len(text) :] if _TIME.fullmatch(text) else None


def _last_moment(text: str) -> str | None:
    return text + _LAST_TIME[len(text) :] if _TIME.fullmatch(text) else None


def _is_pattern(value: str) -> bool:
    return "*" in value or "?" in value


def _like(column: ColumnElement[Any], value: str) -> Condition:
    literal = re.sub(rf"([%_{_ESCAPE}])", rf"{_ESCAPE}\1", value)
    return column.like(literal.replace("*", "%").replace("?", "_"), escape=_ESCAPE)


def _in_json(column: ColumnElement[Any], keyword: str, *further: str) -> ColumnElement[Any]:
    (tag,) = tags_of((keyword,))
    # SQLite gives numbers as such, PostgreSQL as text.
    return cast(column[(tag, "Value", 0, *further)].as_string(), String)


def _attributes() -> dict[str, _Attribute]:
    if not _KNOWN:
        _KNOWN.update(_described())
    return _KNOWN


_KNOWN: dict[str, _Attribute] = {}


def _described() -> dict[str, _Attribute]:
    study, series, instance = Level.STUDY, Level.SERIES, Level.INSTANCE
    s, i = studies.c, instances.c

    def of_study(keyword: str, *further: str) -> ColumnElement[Any]:
        return _in_json(s.attributes, keyword, *further)

    def of_instance(keyword: str) -> ColumnElement[Any]:
        return _in_json(i.attributes, keyword)

    return {
        "StudyInstanceUID": _Attribute(study, _uids, s.study_instance_uid),
        "PatientID": _Attribute(study, _text, s.patient_id),
        "PatientName": _Attribute(study, _folded, s.patient_name),
        "StudyDate": _Attribute(study, _dates, s.study_date),
        "StudyTime": _Attribute(study, _times, s.study_time),
        "AccessionNumber": _Attribute(study, _text, s.accession_number),
        "StudyDescription": _Attribute(study, _folded, s.study_description),
        "ModalitiesInStudy": _Attribute(study, _modalities, s.study_instance_uid),
        "StudyID": _Attribute(study, _text, of_study("StudyID")),
        "PatientSex": _Attribute(study, _codes, of_study("PatientSex")),
        "PatientBirthDate": _Attribute(study, _dates, of_study("PatientBirthDate")),
        "ReferringPhysicianName": _Attribute(
            study, _lowered, of_study("ReferringPhysicianName", "Alphabetic")
        ),
        "SeriesInstanceUID": _Attribute(series, _uids, i.series_instance_uid),
        "Modality": _Attribute(series, _codes, i.modality),
        "SeriesNumber": _Attribute(series, _text, of_instance("SeriesNumber")),
        "SeriesDescription": _Attribute(series, _lowered, of_instance("SeriesDescription")),
        "BodyPartExamined": _Attribute(series, _codes, of_instance("BodyPartExamined")),
        "PerformedProcedureStepStartDate": _Attribute(
            series, _dates, of_instance("PerformedProcedureStepStartDate")
        ),
        "SOPInstanceUID": _Attribute(instance, _uids, i.sop_instance_uid),
        "SOPClassUID": _Attribute(instance, _uids, i.sop_class_uid),
        "InstanceNumber": _Attribute(instance, _text, of_instance("InstanceNumber")),
        "ImageLaterality": _Attribute(instance, _codes, of_instance("ImageLaterality")),
        "ViewPosition": _Attribute(instance, _codes, of_instance("ViewPosition")),
    }
