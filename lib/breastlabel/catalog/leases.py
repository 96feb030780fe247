"""Who has which image in front of them, so that two annotators are never given the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, literal, or_, select

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.counts import upsert
from breastlabel.catalog.database import Database
from breastlabel.catalog.orders import Asking, Order, candidates, own_oldest, pool
from breastlabel.catalog.sessions import touch_session
from breastlabel.catalog.tables import images_table, leases_table
from breastlabel.errors import BreastLabelError

__all__ = ["Lease", "Leases", "seconds_leased"]

# Expired leases stay this long: they still tell how long a slow reader had the image.
_KEEP = timedelta(days=1)
# Each attempt that fails was won by another client, so this many clients must win in a row to exhaust it.
_ATTEMPTS = 1000


@dataclass(frozen=True)
class Lease:
    """The right of one client to be the only one who is offered an image, for a time.

    Attributes:
        strategy: the name of the order by which the image was chosen.
        leased_at: when the client got it, in UTC.
        expires_at: when others may be offered it again, in UTC.
    """

    image_id: str
    client_id: str
    strategy: str
    leased_at: datetime
    expires_at: datetime


class Leases:
    """The leases of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(
        self,
        client_id: str,
        order: Order,
        *,
        strategy: str,
        seconds: float = 900.0,
        author: str | None = None,
    ) -> Lease | None:
        """Give the client the next image of an order; safe against other threads, processes and servers.

        A client that asks again without having saved gets another image: it skipped the first one, on which
        its lease goes on. Only where nothing else is free it gets back the one it has held for longest.

        Args:
            strategy: what to call the order in the lease and the audit.
            seconds: how long nobody else is offered the image.

        Returns:
            None where all images of the order are leased by other clients, or there are none.
        """
        for _ in range(_ATTEMPTS):
            # A transaction an attempt: on PostgreSQL a refused one has locked the other client's lease.
            with self._database.write() as connection:
                now = datetime.now(UTC)
                asking = Asking(client_id=client_id, author=author, now=now)
                connection.execute(_EXPIRED, {"b_before": now - _KEEP})
                image_id = next(candidates(connection, order, asking), None)
                if image_id is None:
                    image_id = connection.execute(own_oldest(order, asking)).scalar_one_or_none()
                if image_id is None:
                    touch_session(connection, self._database, client_id, author, now=now)
                    return None
                lease = Lease(image_id, client_id, strategy, now, now + timedelta(seconds=seconds))
                if _take(connection, lease, order):
                    touch_session(connection, self._database, client_id, author, now=now)
                    record_act(
                        connection,
                        "lease",
                        author=author,
                        client_id=client_id,
                        image_id=image_id,
                        details={"strategy": strategy},
                        at=now,
                    )
                    return lease
        raise BreastLabelError("too many clients ask for the next image at once; ask again in a moment")

    def live(self) -> list[Lease]:
        """Leases that have not expired, oldest first."""
        query = select(leases_table).where(leases_table.c.expires_at > datetime.now(UTC))
        with self._database.read() as connection:
            found = [Lease(**row) for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda lease: lease.leased_at)

    def release(self, image_id: str, client_id: str) -> None:
        """Let others be offered the image again; nothing where the client holds no lease on it."""
        with self._database.write() as connection:
            connection.execute(_RELEASE, {"b_image": image_id, "b_client": client_id})


def seconds_leased(
    connection: Connection, image_id: str, client_id: str | None, now: datetime, *, end: bool
) -> float | None:
    """How long the client has had the image; None where it was not leased to it.

    Args:
        end: whether the lease ends with that.
    """
    if client_id is None:
        return None
    lease = _RELEASE if end else _HELD
    leased_at = connection.execute(lease, {"b_image": image_id, "b_client": client_id}).scalar_one_or_none()
    return None if leased_at is None else max(0.0, (now - leased_at).total_seconds())


def _take(connection: Connection, lease: Lease, order: Order) -> bool:
    """Write the lease where the image is still to be had; False where another client was faster."""
    values: Mapping[str, Any] = {
        "client_id": lease.client_id,
        "strategy": lease.strategy,
        "leased_at": lease.leased_at,
        "expires_at": lease.expires_at,
    }
    columns = leases_table.c
    # The image's row is held: a label saved at the same moment is waited for, and then seen.
    still = (
        select(
            images_table.c.image_id,
            *(literal(v, columns[name].type).label(name) for name, v in values.items()),
        )
        .where(images_table.c.image_id == lease.image_id, pool(order))
        .with_for_update(read=True)
    )
    insert = upsert(connection)(leases_table).from_select(["image_id", *values], still)
    statement = insert.on_conflict_do_update(
        index_elements=["image_id"],
        set_={name: insert.excluded[name] for name in values},
        where=or_(columns.expires_at <= lease.leased_at, columns.client_id == lease.client_id),
    ).returning(columns.image_id)
    return connection.execute(statement).first() is not None


_EXPIRED = delete(leases_table).where(leases_table.c.expires_at < bindparam("b_before"))
_OF_CLIENT = (
    leases_table.c.image_id == bindparam("b_image"),
    leases_table.c.client_id == bindparam("b_client"),
)
_HELD = select(leases_table.c.leased_at).where(*_OF_CLIENT)
_RELEASE = delete(leases_table).where(*_OF_CLIENT).returning(leases_table.c.leased_at)
