"""A case for one client alone: all its images are leased together, or none is."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, literal, or_, select

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.cases import case_key, of_cases, waits
from breastlabel.catalog.counts import upsert
from breastlabel.catalog.database import Database
from breastlabel.catalog.question_tables import question_images_table as questions
from breastlabel.catalog.sessions import touch_session
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import leases_table as leases

__all__ = ["lease_case", "questioned_cases", "release_cases"]


class _TakenError(Exception):
    """Another client has an image of the case; what was written in the transaction is taken back."""


def lease_case(
    database: Database,
    key: str,
    *,
    client_id: str,
    strategy: str,
    seconds: float,
    author: str | None = None,
    labelled: bool = False,
) -> bool:
    """Give a case's waiting images to a client; safe against other threads, processes and servers.

    Args:
        key: of the case.
        strategy: by which it was chosen, for the lease and the audit.
        seconds: how long nobody else is offered the images.
        labelled: lease the images that have a label, to be read once more, instead of those that wait.

    Returns:
        False where another client was faster, or nothing of the case is left to read; nothing is leased then.
    """
    now = datetime.now(UTC)
    pool = images.c.labelled_at.is_not(None) if labelled else waits()
    with contextlib.suppress(_TakenError), database.write() as connection:
        # Each image's row is held: a label saved at the same moment is waited for, and then seen.
        query = select(images.c.image_id).where(of_cases([key]), pool, images.c.excluded.is_(None))
        ids = list(connection.scalars(query.order_by(images.c.image_id).with_for_update(read=True)))
        if not ids or not _take(connection, ids, client_id, strategy, now, seconds):
            raise _TakenError
        touch_session(connection, database, client_id, author, now=now)
        for image_id in ids:
            record_act(
                connection,
                "lease",
                author=author,
                client_id=client_id,
                image_id=image_id,
                details={"strategy": strategy, "case": len(ids)},
                at=now,
            )
        return True
    return False


def release_cases(database: Database, keys: Collection[str], client_id: str) -> None:
    """Let others be offered cases again; nothing where the client holds no lease on them."""
    if not keys:
        return
    of_them = select(images.c.image_id).where(of_cases(keys))
    with database.write() as connection:
        connection.execute(
            delete(leases).where(leases.c.client_id == client_id, leases.c.image_id.in_(of_them))
        )


def questioned_cases(connection: Connection) -> list[str]:
    """Keys of the cases with an open question, the oldest question first."""
    query = (
        select(case_key())
        .select_from(questions.join(images, images.c.image_id == questions.c.image_id))
        .order_by(questions.c.segmentation_id, questions.c.image_id)
    )
    return list(dict.fromkeys(connection.scalars(query)))


def _take(
    connection: Connection, ids: list[str], client_id: str, strategy: str, now: datetime, seconds: float
) -> bool:
    """Write the leases; False where one image is another client's."""
    values = {
        "client_id": client_id,
        "strategy": strategy,
        "leased_at": now,
        "expires_at": now + timedelta(seconds=seconds),
    }
    typed = [literal(value, leases.c[name].type).label(name) for name, value in values.items()]
    chosen = select(images.c.image_id, *typed).where(images.c.image_id.in_(ids))
    insert = upsert(connection)(leases).from_select(["image_id", *values], chosen)
    statement = insert.on_conflict_do_update(
        index_elements=["image_id"],
        set_={name: insert.excluded[name] for name in values},
        where=or_(leases.c.expires_at <= now, leases.c.client_id == client_id),
    ).returning(leases.c.image_id)
    return len(connection.execute(statement).all()) == len(ids)
