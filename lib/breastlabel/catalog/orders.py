"""In which order images are offered to annotators. Every order is read off an index, never sorted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select

from breastlabel.catalog.scores import REVISIT
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import leases_table as leases
from breastlabel.catalog.tables import score_runs_table as runs
from breastlabel.catalog.tables import scores_table as scores
from breastlabel.imaging import Modality

__all__ = ["ByScore", "First", "Order", "RandomOrder", "Revisit"]


@dataclass(frozen=True)
class First:
    """Waiting images by their id.

    Attributes:
        modality: only images of it, here and in the other orders; None offers all.
    """

    modality: Modality | None = None


@dataclass(frozen=True)
class RandomOrder:
    """Waiting images by a number drawn for each of them once: chance, without repetition."""

    modality: Modality | None = None


@dataclass(frozen=True)
class ByScore:
    """Waiting images, the highest score first; after them those without a score, in `RandomOrder`.

    Attributes:
        method: as it was given to `Scores.write`, and so the others.
    """

    method: str
    model: str
    model_version: str
    modality: Modality | None = None


@dataclass(frozen=True)
class Revisit:
    """Labelled images: those with the worst ``revisit`` score first, then the oldest final label.

    What the asking reader labelled last comes after all others, so that a second reader sees it.

    Attributes:
        model: whose scores; None takes no scores into account.
        model_version: of that model.
    """

    model: str | None = None
    model_version: str | None = None
    method: str = REVISIT
    modality: Modality | None = None


Order = First | RandomOrder | ByScore | Revisit


@dataclass(frozen=True)
class Asking:
    """Who asks for an image, and when."""

    client_id: str
    author: str | None
    now: datetime


def candidates(connection: Connection, order: Order, asking: Asking) -> Iterator[str]:
    """The first image of each stage of an order that nobody holds a lease on, the preferred one first."""
    for query in _stages(connection, order, asking):
        found = connection.execute(query.limit(1)).scalar_one_or_none()
        if found is not None:
            yield str(found)


def own_oldest(order: Order, asking: Asking) -> Select[Any]:
    """The image of the order's pool that the client has held for longest."""
    return (
        select(leases.c.image_id)
        .join(images, images.c.image_id == leases.c.image_id)
        .where(leases.c.client_id == asking.client_id, leases.c.expires_at > asking.now, pool(order))
        .order_by(leases.c.leased_at)
        .limit(1)
    )


def pool(order: Order) -> ColumnElement[bool]:
    """Which images an order may offer at all."""
    if isinstance(order, Revisit):
        offered = and_(images.c.labelled_at.is_not(None), images.c.excluded.is_(None))
    else:
        offered = images.c.waiting == True  # noqa: E712
    return offered if order.modality is None else and_(offered, images.c.modality == order.modality.value)


def _stages(connection: Connection, order: Order, asking: Asking) -> Iterator[Select[Any]]:
    free = select(images.c.image_id).where(pool(order), _unleased(images.c.image_id, asking.now))
    match order:
        case First():
            yield free.order_by(images.c.image_id)
        case RandomOrder():
            yield free.order_by(images.c.random_key)
        case ByScore():
            run = _run_id(connection, order.method, order.model, order.model_version)
            if run is None:
                yield free.order_by(images.c.random_key)
                return
            best = _best(run, asking, waiting=True)
            if order.modality is not None:
                # No join: one would let the database begin with the images, and sort.
                found = select(images.c.modality).where(images.c.image_id == scores.c.image_id)
                best = best.where(found.scalar_subquery() == order.modality.value)
            yield best
            yield free.where(_unscored(run)).order_by(images.c.random_key)
        case Revisit():
            run = _run_id(connection, order.method, order.model, order.model_version)
            oldest = free.order_by(images.c.labelled_at, images.c.image_id)
            for whose in (_by_others(asking), ~_by_others(asking)):
                if run is not None:
                    scored = _best(run, asking, waiting=False)
                    yield scored.join(images, images.c.image_id == scores.c.image_id).where(
                        pool(order), whose
                    )
                yield oldest.where(whose) if run is None else oldest.where(whose, _unscored(run))


def _run_id(connection: Connection, method: str, model: str | None, model_version: str | None) -> int | None:
    query = select(runs.c.run_id).where(
        runs.c.method == method, runs.c.model == model, runs.c.model_version == model_version
    )
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else int(found)


def _best(run: int, asking: Asking, *, waiting: bool) -> Select[Any]:
    return (
        select(scores.c.image_id)
        .where(scores.c.run_id == run, scores.c.waiting == waiting, _unleased(scores.c.image_id, asking.now))
        .order_by(scores.c.value.desc(), scores.c.image_id.desc())
    )


def _unleased(image_id: Any, now: datetime) -> ColumnElement[bool]:
    return ~exists().where(leases.c.image_id == image_id, leases.c.expires_at > now)


def _unscored(run: int) -> ColumnElement[bool]:
    return ~exists().where(scores.c.image_id == images.c.image_id, scores.c.run_id == run)


def _by_others(asking: Asking) -> ColumnElement[bool]:
    reader = func.coalesce(images.c.labelled_by, "")
    return and_(*(reader != name for name in (asking.client_id, asking.author) if name))
