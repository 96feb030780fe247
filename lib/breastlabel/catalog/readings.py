"""Label versions of many images at once, and what several readers made of one image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from sqlalchemy import ColumnElement, func, select

from breastlabel.catalog.database import Database
from breastlabel.catalog.label_version import FINAL, LabelVersion, version_columns
from breastlabel.catalog.tables import labels_table

__all__ = ["all_versions", "reader_of", "readings_by_reader"]

_ROWS_AT_ONCE = 1000


def all_versions(database: Database, tag: str | None = None) -> Iterator[LabelVersion]:
    """Every version of every image, sorted by image and version, a few at a time in memory.

    Args:
        tag: only those saved as this tag, whatever became of them; None: all.
    """
    return _versions(database, *(() if tag is None else (labels_table.c.tag == tag,)))


def readings_by_reader(database: Database) -> Iterator[tuple[str, dict[str, LabelVersion]]]:
    """Images that at least two readers read, sorted by id, each with the readers' newest accepted versions.

    Not a reading of their own: label maps that were put into the folder, which name no reader, and earlier
    versions that somebody restored.
    """
    column = labels_table.c
    # Cheap and a little too much: the images with two versions of which the loop below looks at each.
    several = (
        select(column.image_id)
        .where(column.shown_as == FINAL)
        .group_by(column.image_id)
        .having(func.count() > 1)
    )
    versions = _versions(database, column.shown_as == FINAL, column.image_id.in_(several))
    for image_id, of_image in groupby(versions, key=attrgetter("image_id")):
        readings: dict[str, LabelVersion] = {}
        for version in of_image:
            reader = reader_of(version)
            if reader is not None and "restored_from" not in version.info:
                readings[reader] = version
        if len(readings) > 1:
            yield image_id, readings


def reader_of(version: LabelVersion) -> str | None:
    """Who made a version: its author, else the client it came from; None where neither is known."""
    return version.author or version.client_id


def _versions(database: Database, *conditions: ColumnElement[bool]) -> Iterator[LabelVersion]:
    query = (
        select(*version_columns())
        .where(*conditions)
        .order_by(labels_table.c.image_id, labels_table.c.version)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    with database.read() as connection:
        for row in connection.execute(query):
            yield LabelVersion(*row)
