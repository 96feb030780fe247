"""Brings a catalog's database to the schema this version needs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from breastlabel.errors import StudiesError

__all__ = ["HEAD", "upgrade"]

#: The newest revision in ``migrations/versions``; a test holds the two together.
HEAD = "0004"
_MIGRATIONS = Path(__file__).parent / "migrations"
#: Any number that is always the same: what two servers that open one empty PostgreSQL wait for.
_MIGRATION_LOCK = 0x6272656173746C62


def upgrade(engine: Engine) -> None:
    """Run the Alembic migrations that the database lacks.

    A database that is already at `HEAD` costs one query and does not import Alembic. The check is
    repeated inside the write transaction, so that two processes opening a new folder at once do not both
    create the tables.

    Raises:
        StudiesError: the database was written by a newer version, or is no catalog.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.connect().execution_options(breastlabel_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        if (found := _revision(connection)) != HEAD:
            _run_alembic(connection, found)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _run_alembic(connection: Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StudiesError(
            f"a catalog at revision {HEAD} or older is required; this one is at '{found}'; "
            "open it with the breastlabel version that wrote it, or a newer one"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
