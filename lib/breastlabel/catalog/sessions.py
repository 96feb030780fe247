"""Sittings of the annotators: who worked from when to when, and how many labels were saved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, select, update

from breastlabel.catalog.database import Database
from breastlabel.catalog.tables import sessions_table

__all__ = ["SESSION_PAUSE", "Session", "Sessions", "touch_session"]

#: A client that was not heard from for this long begins a new session.
SESSION_PAUSE = timedelta(minutes=30)


@dataclass(frozen=True)
class Session:
    """One sitting of one client.

    Attributes:
        session_id: grows with time.
        client_id: what the client calls itself.
        author: the reader; None where neither a login nor the client named one.
        started_at: when the client was first heard from, in UTC.
        last_seen_at: when it was last heard from, in UTC.
        n_saved: label versions saved in it.
    """

    session_id: int
    client_id: str
    author: str | None
    started_at: datetime
    last_seen_at: datetime
    n_saved: int


class Sessions:
    """The sessions of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def touch(self, client_id: str, author: str | None = None) -> None:
        """Note that the client was heard from now."""
        with self._database.write() as connection:
            touch_session(connection, self._database, client_id, author)

    def list(self) -> list[Session]:
        """All sessions, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(sessions_table).order_by(sessions_table.c.session_id))
            return [Session(**row) for row in rows.mappings()]


def touch_session(
    connection: Connection,
    database: Database,
    client_id: str | None,
    author: str | None,
    *,
    saved: int = 0,
    now: datetime | None = None,
) -> None:
    """Note that a client was heard from, and how many labels it saved, in the transaction of its act."""
    if client_id is None:
        return
    now = now or datetime.now(UTC)
    database.serialize(connection, f"session {client_id}")
    last = connection.execute(_LAST, {"b_client": client_id}).mappings().first()
    same = (
        last is not None
        and now - last["last_seen_at"] < SESSION_PAUSE
        and (author is None or last["author"] in (None, author))
    )
    if last is not None and same:
        connection.execute(
            _TOUCH,
            {
                "b_session": last["session_id"],
                "last_seen_at": now,
                "n_saved": last["n_saved"] + saved,
                "author": last["author"] or author,
            },
        )
        return
    connection.execute(
        insert(sessions_table),
        {
            "client_id": client_id,
            "author": author,
            "started_at": now,
            "last_seen_at": now,
            "n_saved": saved,
        },
    )


_LAST = (
    select(sessions_table)
    .where(sessions_table.c.client_id == bindparam("b_client"))
    .order_by(sessions_table.c.session_id.desc())
    .limit(1)
)
_TOUCH = update(sessions_table).where(sessions_table.c.session_id == bindparam("b_session"))
