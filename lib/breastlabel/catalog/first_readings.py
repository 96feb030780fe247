"""Which images a reader has read, or asked to be shown the AI's opinion on before they did."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, or_, select

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.database import Database
from breastlabel.catalog.label_version import DRAFT, FINAL
from breastlabel.catalog.tables import audit_table as audit
from breastlabel.catalog.tables import labels_table as labels

__all__ = ["REVEAL", "note_revealed", "read_by", "revealed_to"]

REVEAL = "reading.reveal"
"""In the audit: a reader was shown the AI's opinion on an image before their own reading."""


def read_by(
    connection: Connection, image_ids: Collection[str], *, client_id: str | None, author: str | None
) -> set[str]:
    """Those of the images of which the client, or the author, saved a reading; drafts are none."""
    who = [labels.c[name] == value for name, value in _named(client_id, author).items()]
    if not who:
        return set()
    query = select(labels.c.image_id).where(
        labels.c.image_id.in_(image_ids), labels.c.tag.in_((FINAL, DRAFT)), labels.c.state == FINAL, or_(*who)
    )
    return set(connection.scalars(query.distinct()))


def revealed_to(
    connection: Connection, image_ids: Collection[str], *, client_id: str | None, author: str | None
) -> set[str]:
    """Those of the images on which the client, or the author, was shown the AI's opinion."""
    who = [audit.c[name] == value for name, value in _named(client_id, author).items()]
    if not who:
        return set()
    query = select(audit.c.image_id).where(
        audit.c.image_id.in_(image_ids), audit.c.action == REVEAL, or_(*who)
    )
    return set(connection.scalars(query.distinct()))


def note_revealed(
    database: Database, image_ids: Collection[str], *, client_id: str | None, author: str | None
) -> None:
    """Note that a reader is shown the AI's opinion on these images now."""
    with database.write() as connection:
        for image_id in sorted(image_ids):
            record_act(connection, REVEAL, author=author, client_id=client_id, image_id=image_id)


def _named(client_id: str | None, author: str | None) -> dict[str, str]:
    named = {"client_id": client_id, "author": author}
    return {name: value for name, value in named.items() if value}
