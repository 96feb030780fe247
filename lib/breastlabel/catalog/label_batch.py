"""Readings of several images that come together: all of them become versions, or none does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from breastlabel.catalog.database import Database
from breastlabel.catalog.images import lock_image, unknown_image
from breastlabel.catalog.label_files import LabelFiles
from breastlabel.catalog.label_version import FINAL, LabelVersion
from breastlabel.catalog.label_writer import LabelWriter
from breastlabel.catalog.models import is_plain_name
from breastlabel.errors import NotFoundError

__all__ = ["LabelBatch", "Reading"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One image's label map among several; the fields are those of `Labels.save`."""

    image_id: str
    data: bytes
    label: str
    seconds_spent: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


class LabelBatch:
    """Saves final labels of several images in one transaction."""

    def __init__(self, database: Database, files: LabelFiles) -> None:
        self._database = database
        self._files = files
        self._writer = LabelWriter(database, files)

    def save(
        self,
        readings: Sequence[Reading],
        *,
        author: str | None,
        client_id: str | None,
        first: Callable[[Connection], bool],
        last: Callable[[Connection, list[LabelVersion]], None],
    ) -> list[LabelVersion] | None:
        """Keep each reading as its image's next final version.

        Args:
            readings: at most one an image.
            first: called in the transaction before anything is recorded; False ends it without a trace.
            last: called in the transaction with the versions.

        Returns:
            The versions in the order of the readings; None where `first` said no.

        Raises:
            NotFoundError: the catalog lacks one of the images; nothing was recorded of any.
            StudiesError: the database cannot be written.
            OSError: a file could not be written (full disk); nothing was recorded.
        """
        for reading in readings:
            if not is_plain_name(reading.image_id):
                raise unknown_image(reading.image_id)
        rows = [self._row(reading, author, client_id) for reading in readings]
        for reading, row in zip(readings, rows, strict=True):
            self._writer.adopt_strays(reading.image_id, FINAL, but=row["sha256"])
        files = self._store(readings)
        saved = None
        try:
            with self._database.write() as connection:
                if first(connection):
                    saved = self._record(connection, readings, files, rows)
                    last(connection, saved)
        except NotFoundError:
            # The only error that is certain to come before the commit.
            self._discard(files)
            raise
        if saved is None:
            self._discard(files)
            return None
        for version in saved:
            self._writer.project(version.image_id, FINAL, version)
        return saved

    def _store(self, readings: Sequence[Reading]) -> list[str]:
        files: list[str] = []
        try:
            for reading in readings:
                file = self._files.store(reading.image_id, reading.data, tag=FINAL, suffix=".nii.gz")
                files.append(file)
        except BaseException:
            self._discard(files)
            raise
        return files

    @staticmethod
    def _row(reading: Reading, author: str | None, client_id: str | None) -> dict[str, Any]:
        return {
            "tag": FINAL,
            "state": FINAL,
            "label": reading.label,
            "sha256": hashlib.sha256(reading.data).hexdigest(),
            "author": author,
            "client_id": client_id,
            "model": None,
            "model_version": None,
            "seconds_spent": reading.seconds_spent,
            "proposal_id": None,
            "info": dict(reading.info),
        }

    def _record(
        self,
        connection: Connection,
        readings: Sequence[Reading],
        files: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> list[LabelVersion]:
        # All images first and in one order everywhere, so that two writers never wait for each other.
        for image_id in sorted(reading.image_id for reading in readings):
            lock_image(connection, image_id)
        return [
            self._writer.record_in(connection, reading.image_id, file, row)
            for reading, file, row in zip(readings, files, rows, strict=True)
        ]

    def _discard(self, files: Sequence[str]) -> None:
        for file in files:
            self._files.discard(file)
