"""The database behind a catalog: where it is, and how it is read and written."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError

from breastlabel.catalog.forking import ForkGate
from breastlabel.catalog.schema import upgrade
from breastlabel.errors import MissingDependencyError, StudiesError

__all__ = ["DATABASE_URL_VARIABLE", "Database", "database_url"]

#: Set it to keep the catalog of a studies folder in PostgreSQL: ``postgresql://user:password@host/name``.
DATABASE_URL_VARIABLE = "BREASTLABEL_DATABASE_URL"
_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10


def database_url(file: Path) -> str:
    """The URL of the environment, or that of the SQLite file."""
    return os.environ.get(DATABASE_URL_VARIABLE) or f"sqlite:///{file}"


class Database:
    """Connections to one SQLite file or PostgreSQL database, shared by threads, and safe across a fork.

    A thread must not fork within `read` or `write`.
    """

    def __init__(self, url: str) -> None:
        """Connect, and create or upgrade the tables.

        Raises:
            StudiesError: the database cannot be reached or opened, is no catalog of this version, or is
                neither SQLite nor PostgreSQL.
            MissingDependencyError: PostgreSQL is asked for without its driver.
        """
        self.engine = _create_engine(_parse(url))
        self._gate = ForkGate(self.engine)
        try:
            upgrade(self.engine)
        except DatabaseError as error:
            self.engine.dispose()
            raise _unusable(error, self.engine) from error

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database.

        Raises:
            StudiesError: the database cannot be reached or read.
        """
        try:
            with self._gate.connected(), self.engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise _unusable(error, self.engine) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it is on the disk when the block ends, or none of it where it raises.

        On SQLite there is one writer at a time, from the block's first line on. On PostgreSQL writers run
        side by side; what must not, takes a row's lock (``SELECT ... FOR UPDATE``) or `serialize`.

        Raises:
            StudiesError: the database cannot be reached or written.
        """
        try:
            with (
                self._gate.connected(),
                self.engine.connect().execution_options(breastlabel_write=True) as connection,
                connection.begin(),
            ):
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise _unusable(error, self.engine) from error

    def serialize(self, connection: Connection, name: str) -> None:
        """Wait until no other transaction holds this name; hold it until this one ends.

        On SQLite a write is alone already.
        """
        if not self.is_sqlite:
            connection.execute(_ADVISORY_LOCK, {"key": _lock_key(name)})

    def close(self) -> None:
        """Close all connections; new ones are opened where the database is used again."""
        self.engine.dispose()


_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def _lock_key(name: str) -> int:
    digest = hashlib.sha256(f"breastlabel {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text itself may hold a password.
        raise StudiesError(
            "a database URL such as postgresql://user:password@host/name is required; got one that cannot "
            f"be read; correct {DATABASE_URL_VARIABLE}"
        ) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        if importlib.util.find_spec("psycopg") is None:
            raise MissingDependencyError(
                "psycopg is required for a PostgreSQL catalog; it is not installed; "
                "run: pip install 'breastlabel[postgres]'"
            )
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise StudiesError(
            f"a database must be SQLite or PostgreSQL; got '{parsed.drivername}'; "
            f"correct {DATABASE_URL_VARIABLE}"
        )
    return parsed


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": _BUSY_SECONDS},
            json_serializer=_to_json,
            # Of as many threads as a server has, none may wait for a file handle.
            **({"max_overflow": -1} if url.database not in (None, "", ":memory:") else {}),
        )
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
        json_serializer=_to_json,
        isolation_level="READ COMMITTED",
        pool_size=5,
        # A PostgreSQL server takes 100 connections as installed; four servers of ours must fit.
        max_overflow=15,
        # A connection that the server or a firewall dropped while it was idle is replaced unnoticed.
        pool_pre_ping=True,
        pool_recycle=1800,
    )
    event.listen(engine, "connect", _configure_postgres)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not open transactions on its own: it would do so without the write lock, and a
    # transaction that first reads and then writes fails at once, busy timeout or not.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("breastlabel_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _configure_postgres(connection: Any, _record: object) -> None:
    # A label is acknowledged once it is on the disk, however the server is configured otherwise.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
    connection.commit()


def _to_json(value: Any) -> str:
    """JSON as every reader takes it: a number that is none (NaN, infinite) is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _unusable(error: DatabaseError | InterfaceError, engine: Engine) -> StudiesError:
    said = " ".join(str(error.orig).split())
    if engine.dialect.name == "sqlite":
        return StudiesError(
            f"a readable and writable catalog database is required; the database says: {said}; "
            "check the folder's permissions and free space, or move a damaged file away"
        )
    password = engine.url.password
    if password:
        said = said.replace(str(password), "***")
    return StudiesError(
        f"a reachable PostgreSQL database is required; it says: {said}; check that the server runs, and "
        f"host, port, name, user and password in {DATABASE_URL_VARIABLE}"
    )
