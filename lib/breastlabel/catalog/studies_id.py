"""Holds a database and its studies folder together: records of one folder must never describe another."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sqlalchemy import insert, select

from breastlabel.catalog.database import DATABASE_URL_VARIABLE, Database
from breastlabel.catalog.tables import state_table
from breastlabel.errors import StudiesError
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["STUDIES_ID_FILE", "check_studies_id", "remember_once"]

#: Holds a folder's id, so that it keeps its database when it is moved.
STUDIES_ID_FILE = Path(".breastlabel") / "studies-id"
_STATE = "studies_id"


def check_studies_id(studies: Path, database: Database) -> None:
    """Join a folder and a database for good, or see that they are joined.

    Raises:
        StudiesError: the database is that of another folder, or the id cannot be written.
    """
    file = studies / STUDIES_ID_FILE
    folder_id = _read(file)
    with database.read() as connection:
        known = connection.scalar(select(state_table.c.value).where(state_table.c.name == _STATE))
    if folder_id is not None and folder_id == known:
        return
    if folder_id is None:
        # A database file in the folder is that folder's, whatever became of the id; another one is not
        # until the folder says so.
        wanted = known if known is not None and database.is_sqlite else secrets.token_hex(16)
        folder_id = _create(file, wanted)
    if remember_once(database, _STATE, folder_id) != folder_id:
        raise StudiesError(
            "a database serves one studies folder; this one serves another than "
            f"'{studies.name}'; set {DATABASE_URL_VARIABLE} to a database of its own"
        )


def remember_once(database: Database, name: str, value: str) -> str:
    """Remember a fact about the catalog unless it is known; what is known then."""
    with database.write() as connection:
        # Asked with the write lock held: another process may have made it meanwhile.
        database.serialize(connection, f"state {name}")
        known = connection.scalar(select(state_table.c.value).where(state_table.c.name == name))
        if known is None:
            connection.execute(insert(state_table).values(name=name, value=value))
    return value if known is None else str(known)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StudiesError(f"a readable '{STUDIES_ID_FILE}' is required; got: {error}; restore it") from error


def _create(file: Path, value: str) -> str:
    """Write the id unless another process did; the id that is there then."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}.part")
    try:
        write_bytes_atomically(temporary, f"{value}\n".encode("ascii"))
        # Unlike a rename, a link never replaces what is there.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, file)
    except OSError as error:
        raise StudiesError(
            f"a writable studies folder is required; got: {error.strerror}; check its permissions"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return _read(file) or value
