"""Finds studies, series and instances in the DICOM index, page by page, along its indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, exists, func, or_, select

from breastlabel.catalog.database import Database
from breastlabel.catalog.dicom_index import INDEXED, instance_columns, instance_from_row
from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.catalog.dicom_looking import is_there
from breastlabel.catalog.dicom_matching import Level, condition, level_of
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import dicom_studies_table as studies

__all__ = ["FoundSeries", "FoundStudy", "search_instances", "search_series", "search_studies"]

#: Attribute -> the values of which one has to match.
Wanted = Mapping[str, Sequence[str]]

_JOINED: FromClause = INDEXED.join(studies, studies.c.study_instance_uid == instances.c.study_instance_uid)


@dataclass(frozen=True)
class FoundStudy:
    """A study.

    Attributes:
        attributes: of the study, as the DICOM JSON model.
        modalities: of its instances, sorted.
    """

    study_instance_uid: str
    attributes: Mapping[str, Any]
    modalities: tuple[str, ...]
    series: int
    instances: int


@dataclass(frozen=True)
class FoundSeries:
    """A series.

    Attributes:
        first: one of its instances, whose attributes speak for the series and its study.
    """

    first: DicomInstance
    instances: int


def search_studies(
    database: Database,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    ours: Collection[str] | None = None,
) -> list[FoundStudy]:
    """Studies, newest first; those without a date last.

    Args:
        ours: series of the objects that this program wrote (origin "ours") which are looked at; None: all.

    Raises:
        QueryError: a value is none that its attribute can have.
    """
    of_study, others = _conditions(wanted, ours)
    there = (
        exists().select_from(INDEXED).where(instances.c.study_instance_uid == studies.c.study_instance_uid)
    )
    query = (
        select(studies.c.study_instance_uid, studies.c.attributes)
        .where(*of_study, there.where(is_there(), *others).correlate(studies))
        .order_by(studies.c.study_date.desc(), studies.c.study_instance_uid.desc())
        .limit(limit)
        .offset(offset)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
        content = _content(connection, [row.study_instance_uid for row in rows], ours)
    return [
        FoundStudy(
            study_instance_uid=uid,
            attributes=attributes,
            modalities=tuple(sorted(content[uid])),
            series=sum(series for series, _ in content[uid].values()),
            instances=sum(number for _, number in content[uid].values()),
        )
        for uid, attributes in rows
        # Between the two queries its last file may have gone.
        if content[uid]
    ]


def search_series(
    database: Database,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    ours: Collection[str] | None = None,
) -> list[FoundSeries]:
    """Series, in the order of their studies' and their own UIDs; otherwise as `search_studies`."""
    of_study, others = _conditions(wanted, ours)
    first = func.min(instances.c.sop_instance_uid)
    place = (instances.c.study_instance_uid, instances.c.series_instance_uid)
    query = (
        select(first, func.count())
        .select_from(_JOINED)
        .where(is_there(), *of_study, *others)
        .group_by(*place)
        .order_by(*place)
        .limit(limit)
        .offset(offset)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
        known: dict[str, DicomInstance] = {}
        for start in range(0, len(rows), _CHUNK):
            uids = [row[0] for row in rows[start : start + _CHUNK]]
            found = connection.execute(instance_columns().where(instances.c.sop_instance_uid.in_(uids)))
            known |= {instance.sop_instance_uid: instance for instance in map(instance_from_row, found)}
    return [FoundSeries(known[uid], number) for uid, number in rows if uid in known]


def search_instances(
    database: Database,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    ours: Collection[str] | None = None,
) -> list[DicomInstance]:
    """Instances, in the order of their studies', series' and own UIDs; otherwise as `search_studies`."""
    of_study, others = _conditions(wanted, ours)
    query = instance_columns()
    if of_study:
        query = query.join(studies, studies.c.study_instance_uid == instances.c.study_instance_uid)
    query = (
        query.where(is_there(), *of_study, *others)
        .order_by(
            instances.c.study_instance_uid, instances.c.series_instance_uid, instances.c.sop_instance_uid
        )
        .limit(limit)
        .offset(offset)
    )
    with database.read() as connection:
        return [instance_from_row(row) for row in connection.execute(query)]


_CHUNK = 200


def _conditions(
    wanted: Wanted, ours: Collection[str] | None
) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """Those of the study, and those of series and instances."""
    of_study: list[ColumnElement[bool]] = []
    others = _but_ours(ours)
    for keyword, values in wanted.items():
        asked = condition(keyword, values)
        if asked is not None:
            (of_study if level_of(keyword) is Level.STUDY else others).append(asked)
    return of_study, others


def _but_ours(shown: Collection[str] | None) -> list[ColumnElement[bool]]:
    if shown is None:
        return []
    return [or_(instances.c.origin != "ours", instances.c.series_instance_uid.in_(shown))]


def _content(
    connection: Connection, uids: Sequence[str], ours: Collection[str] | None
) -> Mapping[str, Mapping[str, tuple[int, int]]]:
    """Study -> modality -> (series, instances)."""
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for start in range(0, len(uids), _CHUNK):
        place = (instances.c.study_instance_uid, instances.c.modality)
        query = (
            select(*place, func.count(instances.c.series_instance_uid.distinct()), func.count())
            .select_from(INDEXED)
            .where(
                is_there(), instances.c.study_instance_uid.in_(uids[start : start + _CHUNK]), *_but_ours(ours)
            )
            .group_by(*place)
        )
        for study, modality, series, number in connection.execute(query):
            found[study][modality] = (series, number)
    return found
