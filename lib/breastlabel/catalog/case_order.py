"""In which order cases are listed: by their best image, read off the indexes that images are offered by."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, select, true

from breastlabel.catalog.cases import analysable, case_key, of_cases, waits
from breastlabel.catalog.counts import read_counts
from breastlabel.catalog.database import Database
from breastlabel.catalog.orders import ByScore, First, Order, Revisit
from breastlabel.catalog.tables import audit_table
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import score_runs_table as runs
from breastlabel.catalog.tables import scores_table as scores
from breastlabel.imaging.vocabulary import Modality

__all__ = ["CaseCounts", "CaseList", "CaseStatus", "RankedCase", "case_page", "open_keys"]

#: Images looked up at once; a page of cases needs one or two such looks.
_CHUNK = 200


class CaseStatus(StrEnum):
    """Where a case stands."""

    #: An image of it has no final label.
    WAITING = "waiting"
    #: A client has an image of it on lease.
    READING = "reading"
    #: All its images that a model may judge have a final label.
    READ = "read"
    #: A segmentation of it was stored whose segments nobody has named yet.
    QUESTION = "question"
    ALL = "all"


class RankedCase(NamedTuple):
    """A case's place in a list: the image that put it there, and that image's score, where it has one."""

    key: str
    image_id: str
    value: float | None


@dataclass(frozen=True)
class CaseList:
    """Which cases are listed, and in which order.

    Attributes:
        orders: as images are offered: several where each modality has scores of its own.
        status: ``ALL`` lists the waiting cases, then the others, those labelled last first.
        busy: keys of the cases that are being read or have questions, in their own order.
        skip: keys of cases that are passed over.
    """

    orders: Sequence[Order]
    status: CaseStatus = CaseStatus.WAITING
    modality: Modality | None = None
    busy: Mapping[CaseStatus, Sequence[str]] = field(default_factory=dict)
    skip: Collection[str] = ()


def case_page(
    connection: Connection, listed: CaseList, *, offset: int = 0, limit: int = 50
) -> list[RankedCase]:
    """A page of a list. What it costs grows with ``offset + limit``, not with the number of images."""
    if listed.status in (CaseStatus.READING, CaseStatus.QUESTION):
        return _page_of_busy(connection, listed)[offset : offset + limit]
    found: list[RankedCase] = []
    seen = set(listed.skip)
    if listed.status is not CaseStatus.ALL:
        seen.update(key for keys in listed.busy.values() for key in keys)
    ranked = _ranked(connection, listed)
    while chunk := _next(ranked):
        places = _places(connection, [image_id for image_id, _ in chunk], listed.modality)
        new = [key for image_id, _ in chunk if (key := places.get(image_id)) is not None and key not in seen]
        # A case that is partly read waits.
        unread = open_keys(connection, new) if listed.status is CaseStatus.READ else ()
        for image_id, value in chunk:
            key = places.get(image_id)
            if key is None or key in seen:
                continue
            seen.add(key)
            if key not in unread:
                found.append(RankedCase(key, image_id, value))
        if len(found) >= offset + limit:
            break
    return found[offset : offset + limit]


def open_keys(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of the cases that an image waits in."""
    if not keys:
        return set()
    query = select(case_key()).where(of_cases(keys), waits(), analysable())
    return set(connection.scalars(query.distinct()))


class CaseCounts:
    """How many cases there are and wait; counted anew only when something in the catalog changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[Any, dict[Modality | None, tuple[int, int]]] = (None, {})

    def total(self, listed: CaseList) -> int:
        """How many cases a list holds, ``skip`` aside."""
        if listed.status in (CaseStatus.READING, CaseStatus.QUESTION):
            with self._database.read() as connection:
                return len(_page_of_busy(connection, listed))
        with self._database.read() as connection:
            every, waiting = self._count(connection, listed.modality)
            if listed.status is CaseStatus.ALL:
                return every
            busy = {key for keys in listed.busy.values() for key in keys}
            if listed.modality is not None:
                busy = _of_modality(connection, busy, listed.modality)
            unread = len(open_keys(connection, busy))
        if listed.status is CaseStatus.WAITING:
            return waiting - unread
        return every - waiting - (len(busy) - unread)

    def _count(self, connection: Connection, modality: Modality | None) -> tuple[int, int]:
        newest = connection.scalar(select(func.max(audit_table.c.audit_id)))
        stamp = (read_counts(connection), newest)
        known = self._known
        if known[0] != stamp:
            # One assignment, for threads share this.
            known = self._known = (stamp, {})
        if modality not in known[1]:
            inner = (
                select(case_key().label("key"), func.max(_as_number(images.c.waiting)).label("open"))
                .where(images.c.excluded.is_(None), analysable(), _is(modality))
                .group_by(case_key())
                .subquery()
            )
            row = connection.execute(
                select(func.count(), func.coalesce(func.sum(inner.c.open), 0)).select_from(inner)
            ).one()
            known[1][modality] = (int(row[0]), int(row[1]))
        return known[1][modality]


def _as_number(column: ColumnElement[bool]) -> ColumnElement[int]:
    return case((column == True, 1), else_=0)  # noqa: E712


def _is(modality: Modality | None) -> ColumnElement[bool]:
    return true() if modality is None else images.c.modality == modality.value


def _page_of_busy(connection: Connection, listed: CaseList) -> list[RankedCase]:
    keys = [key for key in listed.busy.get(listed.status, ()) if key not in listed.skip]
    if listed.status is CaseStatus.READING:
        # A question is to be answered first, whoever reads the case.
        keys = [key for key in keys if key not in listed.busy.get(CaseStatus.QUESTION, ())]
    kept = _of_modality(connection, keys, listed.modality) if listed.modality is not None else set(keys)
    return [RankedCase(key, "", None) for key in keys if key in kept]


def _of_modality(connection: Connection, keys: Collection[str], modality: Modality) -> set[str]:
    if not keys:
        return set()
    query = select(case_key()).where(of_cases(keys), _is(modality)).distinct()
    return set(connection.scalars(query))


def _ranked(connection: Connection, listed: CaseList) -> Iterator[tuple[str, float | None]]:
    """Images with their scores, in the order in which their cases are listed."""
    if listed.status is not CaseStatus.READ:
        yield from _waiting(connection, listed)
    if listed.status is not CaseStatus.WAITING:
        yield from _read(connection, listed)


def _waiting(connection: Connection, listed: CaseList) -> Iterator[tuple[str, float | None]]:
    free = select(images.c.image_id).where(images.c.waiting == True, _is(listed.modality))  # noqa: E712
    if any(isinstance(order, First) for order in listed.orders):
        yield from _unscored(connection, free.order_by(images.c.image_id))
        return
    scored = [run for order in listed.orders if (run := _run_of(connection, order, ByScore)) is not None]
    yield from _merged(connection, scored, waiting=True)
    if scored:
        free = free.where(
            ~exists().where(scores.c.image_id == images.c.image_id, scores.c.run_id.in_(scored))
        )
    yield from _unscored(connection, free.order_by(images.c.random_key))


def _read(connection: Connection, listed: CaseList) -> Iterator[tuple[str, float | None]]:
    own = select(images.c.image_id).where(images.c.excluded.is_(None), _is(listed.modality))
    labelled = own.where(images.c.labelled_at.is_not(None))
    newest = labelled.order_by(images.c.labelled_at.desc(), images.c.image_id.desc())
    if any(isinstance(order, Revisit) for order in listed.orders):
        scored = [run for order in listed.orders if (run := _run_of(connection, order, Revisit)) is not None]
        yield from _merged(connection, scored, waiting=False)
        newest = labelled.order_by(images.c.labelled_at, images.c.image_id)
    yield from _unscored(connection, newest)
    # Known to be normal, and never labelled.
    normal = own.where(images.c.waiting == False, images.c.labelled_at.is_(None))  # noqa: E712
    yield from _unscored(connection, normal.order_by(images.c.image_id))


def _run_of(connection: Connection, order: Order, kind: type[ByScore | Revisit]) -> int | None:
    if not isinstance(order, kind):
        return None
    query = select(runs.c.run_id).where(
        runs.c.method == order.method,
        runs.c.model == order.model,
        runs.c.model_version == order.model_version,
    )
    return connection.execute(query).scalar_one_or_none()


def _merged(
    connection: Connection, scored: Sequence[int], *, waiting: bool
) -> Iterator[tuple[str, float | None]]:
    """The images of several runs, the highest score first."""

    def of_run(run: int) -> Iterator[tuple[float, str]]:
        query = (
            select(scores.c.value, scores.c.image_id)
            .where(scores.c.run_id == run, scores.c.waiting == waiting)
            .order_by(scores.c.value.desc(), scores.c.image_id.desc())
        )
        for value, image_id in connection.execute(query, execution_options=_STREAM):
            yield float(value), str(image_id)

    for value, image_id in heapq.merge(*map(of_run, scored), key=lambda row: -row[0]):
        yield image_id, value


def _unscored(connection: Connection, query: Select[Any]) -> Iterator[tuple[str, None]]:
    for (image_id,) in connection.execute(query, execution_options=_STREAM):
        yield str(image_id), None


def _next(ranked: Iterator[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    return [row for _, row in zip(range(_CHUNK), ranked, strict=False)]


def _places(connection: Connection, image_ids: list[str], modality: Modality | None) -> dict[str, str]:
    """The cases of those images that are to be read and are of the modality."""
    query = select(images.c.image_id, case_key()).where(
        images.c.image_id.in_(image_ids), images.c.excluded.is_(None), analysable(), _is(modality)
    )
    return {str(image_id): str(key) for image_id, key in connection.execute(query)}


_STREAM = {"yield_per": _CHUNK}
