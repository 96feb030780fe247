"""How many images there are, wait and are labelled, kept as they change so that nobody has to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from breastlabel.catalog.tables import counts_table

__all__ = [
    "MISSING",
    "TOTAL",
    "WAITING",
    "Counts",
    "add_to_counts",
    "labelled_count",
    "read_counts",
    "upsert",
]

TOTAL = "total"
MISSING = "missing"
WAITING = "waiting"
_LABELLED = "labelled:"


@dataclass(frozen=True)
class Counts:
    """Numbers of images.

    Attributes:
        total: images of the catalog, the excluded ones too.
        missing: those of them whose files are gone.
        waiting: neither reviewed nor excluded.
        labelled: tag -> images that have a label of this tag.
    """

    total: int
    missing: int
    waiting: int
    labelled: dict[str, int]


def labelled_count(tag: str) -> str:
    """The name of the count of images that have a label of this tag."""
    return f"{_LABELLED}{tag}"


def read_counts(connection: Connection) -> Counts:
    """The counts as they stand in this transaction."""
    values = {name: value for name, value in connection.execute(select(counts_table))}  # noqa: C416
    return Counts(
        total=values.get(TOTAL, 0),
        missing=values.get(MISSING, 0),
        waiting=values.get(WAITING, 0),
        labelled={
            name.removeprefix(_LABELLED): value
            for name, value in sorted(values.items())
            if name.startswith(_LABELLED) and value
        },
    )


def add_to_counts(connection: Connection, changes: Mapping[str, int]) -> None:
    """Add to counts, in one order everywhere, so that two transactions never wait for each other."""
    added = [{"name": name, "value": change} for name, change in sorted(changes.items()) if change]
    if added:
        connection.execute(_ADD[connection.dialect.name], added)


def upsert(connection: Connection) -> type[sqlite.Insert] | type[postgresql.Insert]:
    """The INSERT of this database's dialect that knows ON CONFLICT."""
    return sqlite.Insert if connection.dialect.name == "sqlite" else postgresql.Insert


def _adding(insert: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    added = {"value": counts_table.c.value + insert.excluded.value}
    return insert.on_conflict_do_update(index_elements=["name"], set_=added)


_ADD = {
    "sqlite": _adding(sqlite.insert(counts_table)),
    "postgresql": _adding(postgresql.insert(counts_table)),
}
