"""The catalog of a studies folder: which images there are and what is known of each."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, update
from sqlalchemy.exc import DatabaseError, OperationalError

from breastlabel.catalog.folder import CATALOG_FILE, sync_folder
from breastlabel.catalog.models import (
    SPLITS,
    ImageRecord,
    images_table,
    record_from_row,
    row_from_record,
    state_table,
)
from breastlabel.catalog.schema import upgrade
from breastlabel.errors import NotFoundError, StudiesError, UnknownNameError

__all__ = ["Catalog"]

_BUSY_SECONDS = 30
_CHUNK = 500
_SALT = "salt"


class Catalog:
    """Images and what is known of them. Safe to share between threads and processes.

    Every write is one transaction and is on the disk (synced) when the call returns.
    """

    def __init__(self, url: str, *, studies: Path | None = None) -> None:
        """Connect to the database at a SQLAlchemy URL, creating or upgrading its tables.

        Args:
            url: for example ``sqlite:////data/studies/.breastlabel/catalog.sqlite3``.
            studies: the folder that records' ``file`` is relative to.

        Raises:
            StudiesError: the database cannot be opened, or is no catalog of this version.
        """
        self.studies = studies
        self._engine = _create_engine(url)
        try:
            upgrade(self._engine)
        except DatabaseError as error:
            self._engine.dispose()
            raise _unusable(error) from error

    @classmethod
    def open(cls, studies: str | Path, *, create: bool = False) -> Self:
        """The catalog of a folder of images; images not yet known to it are added (`sync_folder`).

        Args:
            create: make the folder if it does not exist.

        Raises:
            StudiesError: there is no such folder, or its catalog cannot be opened.
        """
        folder = Path(studies).absolute()
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise StudiesError(
                f"a folder of images is required; there is none at '{studies}'; check --studies"
            )
        database = folder / CATALOG_FILE
        try:
            database.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StudiesError(
                f"a writable studies folder is required; got: {error.strerror}; check its permissions"
            ) from error
        catalog = cls(f"sqlite:///{database}", studies=folder)
        sync_folder(folder, catalog=catalog)
        return catalog

    def __len__(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(images_table)).scalar_one())

    def add_images(self, records: Iterable[ImageRecord]) -> int:
        """Add images in one transaction; those whose id is known stay as they are.

        So an import can be repeated, and neither a split nor a reader's correction is ever undone by it.

        Returns:
            How many were new.
        """
        rows = {record.image_id: row_from_record(record) for record in records}
        if not rows:
            return 0
        with self._write() as connection:
            known = _known(connection, list(rows))
            new = [row for image_id, row in rows.items() if image_id not in known]
            if new:
                connection.execute(insert(images_table), new)
        return len(new)

    def images(self, *, split: str | None = None, include_excluded: bool = True) -> list[ImageRecord]:
        """All images, or those of one split, sorted by id.

        Raises:
            UnknownNameError: `split` is none of train, val, test.
        """
        query = select(images_table).order_by(images_table.c.image_id)
        if split is not None:
            if split not in SPLITS:
                raise UnknownNameError("split", split, SPLITS)
            query = query.where(images_table.c.split == split)
        if not include_excluded:
            query = query.where(images_table.c.excluded.is_(None))
        with self._engine.connect() as connection:
            return [record_from_row(row) for row in connection.execute(query).mappings()]

    def image(self, image_id: str) -> ImageRecord:
        """One image.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        with self._engine.connect() as connection:
            return _one(connection, image_id)

    def update_image(self, image_id: str, /, **changes: Any) -> ImageRecord:
        """Change fields of one image, for example ``reviewed=True, label="benign"``.

        Returns:
            The record as it now is.

        Raises:
            NotFoundError: the catalog has no such image.
            UnknownNameError: a field that records do not have, or ``image_id``.
        """
        return self.update_images({image_id: changes})[0]

    def update_images(self, changes: dict[str, dict[str, Any]]) -> list[ImageRecord]:
        """`update_image` for many images, all or none, in one transaction."""
        valid = {f.name for f in fields(ImageRecord)} - {"image_id"}
        changed = []
        with self._write() as connection:
            for image_id, values in changes.items():
                for name in values:
                    if name not in valid:
                        raise UnknownNameError("field of an image", name, valid)
                record = replace(_one(connection, image_id), **values)
                connection.execute(
                    update(images_table)
                    .where(images_table.c.image_id == image_id)
                    .values({images_table.c[k]: v for k, v in row_from_record(record).items()})
                )
                changed.append(record)
        return changed

    def state(self, name: str) -> str | None:
        """A remembered fact about the catalog itself, such as when its folder was last listed."""
        with self._engine.connect() as connection:
            return connection.execute(
                select(state_table.c.value).where(state_table.c.name == name)
            ).scalar_one_or_none()

    def set_state(self, name: str, value: str) -> None:
        """Remember a fact about the catalog itself."""
        with self._write() as connection:
            connection.execute(state_table.delete().where(state_table.c.name == name))
            connection.execute(insert(state_table).values(name=name, value=value))

    def salt(self) -> str:
        """The secret with which patients' identifiers become keys here (`opaque_key`); made when first asked.

        It never changes, so that an image added later joins its patient.
        """
        known = self.state(_SALT)
        if known is not None:
            return known
        with self._write() as connection:
            # Asked again with the write lock held: another process may have made it meanwhile.
            known = connection.scalar(select(state_table.c.value).where(state_table.c.name == _SALT))
            if known is None:
                known = secrets.token_hex(16)
                connection.execute(insert(state_table).values(name=_SALT, value=known))
        return str(known)

    def path(self, record: ImageRecord) -> Path:
        """Where the image's file lies.

        Raises:
            StudiesError: the catalog was opened by URL without a studies folder.
        """
        if self.studies is None:
            raise StudiesError("a studies folder is required to find files; got none; give `studies`")
        return self.studies / record.file

    def close(self) -> None:
        """Close all connections. The catalog opens new ones if it is used again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with (
                self._engine.connect().execution_options(breastlabel_write=True) as connection,
                connection.begin(),
            ):
                yield connection
        except OperationalError as error:
            raise _unusable(error) from error


def _unusable(error: DatabaseError) -> StudiesError:
    return StudiesError(
        f"a readable and writable catalog database is required; the database says: {error.orig}; "
        "check the folder's permissions and free space, or move a damaged file away"
    )


def _one(connection: Connection, image_id: str) -> ImageRecord:
    row = (
        connection.execute(select(images_table).where(images_table.c.image_id == image_id)).mappings().first()
    )
    if row is None:
        raise NotFoundError(
            f"an image of the catalog is required; '{image_id}' is not in it; list the images"
        )
    return record_from_row(row)


def _known(connection: Connection, ids: list[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        column = images_table.c.image_id
        known.update(connection.scalars(select(column).where(column.in_(ids[start : start + _CHUNK]))))
    return known


def _create_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS} if url.startswith("sqlite") else {})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
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
