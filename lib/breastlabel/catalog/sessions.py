"""Sittings of the annotators: who worked from when to when, and how many labels were saved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, String, bindparam, func, insert, or_, select, update

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
    values = {"client_id": client_id, "author": author, "last_seen_at": now, "n_saved": saved}
    going_on = {f"b_{name}": value for name, value in values.items()} | {"b_since": now - SESSION_PAUSE}
    if connection.execute(_GO_ON, going_on).rowcount == 0:
        connection.execute(_BEGIN, {**values, "started_at": now})


_BEGIN = insert(sessions_table)
_c, _author = sessions_table.c, bindparam("b_author", type_=String)
_LAST = select(func.max(_c.session_id)).where(_c.client_id == bindparam("b_client_id")).correlate(None)
# Of the client's last session, unless it is over or another author's.
_GO_ON = (
    update(sessions_table)
    .where(
        _c.session_id == _LAST.scalar_subquery(),
        _c.last_seen_at > bindparam("b_since"),
        or_(_c.author.is_(None), _c.author == func.coalesce(_author, _c.author)),
    )
    .values(
        author=func.coalesce(_c.author, _author),
        last_seen_at=bindparam("b_last_seen_at"),
        n_saved=_c.n_saved + bindparam("b_n_saved"),
    )
)
