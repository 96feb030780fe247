"""Who did what when: a list that only grows. Triggers of the database refuse any change of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from breastlabel.catalog.database import Database
from breastlabel.catalog.tables import audit_table

__all__ = ["Audit", "AuditEntry", "record_act"]


@dataclass(frozen=True)
class AuditEntry:
    """One act.

    Attributes:
        audit_id: grows with time.
        at: when, in UTC.
        author: who, where a login or the client said so.
        client_id: through which client.
        action: for example ``"label.save"``, ``"label.state"``, ``"lease"``, ``"image.exclude"``.
        image_id: of which image; None where it is of none.
        label_id: of which label version; None where it is of none.
        details: what else there is to know of it, plain JSON values.
    """

    audit_id: int
    at: datetime
    author: str | None
    client_id: str | None
    action: str
    image_id: str | None
    label_id: int | None
    details: Mapping[str, Any]


class Audit:
    """The audit trail of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self,
        action: str,
        *,
        author: str | None = None,
        client_id: str | None = None,
        image_id: str | None = None,
        label_id: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Note an act. What the catalog itself does (saving, leasing, excluding, ...) it notes on its own."""
        with self._database.write() as connection:
            record_act(
                connection,
                action,
                author=author,
                client_id=client_id,
                image_id=image_id,
                label_id=label_id,
                details=details,
            )

    def entries(self, image_id: str | None = None, limit: int = 100) -> list[AuditEntry]:
        """The last acts, newest first; those on one image where it is named."""
        query = select(audit_table).order_by(audit_table.c.audit_id.desc()).limit(limit)
        if image_id is not None:
            query = query.where(audit_table.c.image_id == image_id)
        with self._database.read() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]


def record_act(
    connection: Connection,
    action: str,
    *,
    author: str | None = None,
    client_id: str | None = None,
    image_id: str | None = None,
    label_id: int | None = None,
    details: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Note an act in the transaction in which it is done."""
    connection.execute(
        _INSERT,
        {
            "at": at or datetime.now(UTC),
            "author": author,
            "client_id": client_id,
            "action": action,
            "image_id": image_id,
            "label_id": label_id,
            "details": dict(details or {}),
        },
    )


_INSERT = insert(audit_table)
