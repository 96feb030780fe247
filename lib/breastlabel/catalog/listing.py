"""Many images at a glance: their ids, and those that are being worked on with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from breastlabel.catalog.database import Database
from breastlabel.catalog.label_version import LabelVersion, version_columns
from breastlabel.catalog.models import FILE_MISSING
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import labels_table as labels
from breastlabel.catalog.tables import leases_table as leases
from breastlabel.imaging import Modality

__all__ = [
    "ListedImage",
    "excluded_ids",
    "ids_of",
    "image_ids",
    "listed_images",
    "waiting_ids",
    "waiting_modalities",
]

_CHUNK = 500


@dataclass(frozen=True)
class ListedImage:
    """An image and the labels that are shown for it.

    Attributes:
        file: POSIX path relative to the studies folder.
        info: what clients noted on it.
        labels: tag -> the version that counts.
    """

    image_id: str
    file: str
    info: Mapping[str, Any]
    labels: dict[str, LabelVersion] = field(default_factory=dict)


def image_ids(database: Database) -> list[str]:
    """Ids of all images whose files are there, sorted."""
    return _ids(database, or_(images.c.excluded.is_(None), images.c.excluded != FILE_MISSING))


def waiting_ids(database: Database) -> list[str]:
    """Ids of the images that may be offered to annotators, sorted."""
    return _ids(database, images.c.waiting == True)  # noqa: E712


def excluded_ids(database: Database, reason: str) -> list[str]:
    """Ids of the images that are kept out for this reason, sorted."""
    return _ids(database, images.c.excluded == reason)


def ids_of(database: Database, modality: Modality) -> set[str]:
    """Ids of all images of a modality."""
    return set(_ids(database, images.c.modality == modality.value))


def waiting_modalities(database: Database) -> set[Modality]:
    """The modalities of the images that may be offered to annotators."""
    with database.read() as connection:
        found = connection.scalars(select(images.c.modality).where(images.c.waiting == True).distinct())  # noqa: E712
        return {Modality(value) for value in found}


def listed_images(database: Database, *, limit: int | None) -> list[ListedImage]:
    """The images that are on lease, and those labelled last. It takes as long however many others there are.

    Args:
        limit: how many label versions to go back; None lists every image with a label.
    """
    with database.read() as connection:
        ids = list(dict.fromkeys((*_leased(connection), *_labelled(connection, limit))))
        found: dict[str, ListedImage] = {}
        for start in range(0, len(ids), _CHUNK):
            _add(connection, ids[start : start + _CHUNK], found)
    return [found[image_id] for image_id in ids]


def _ids(database: Database, which: ColumnElement[bool]) -> list[str]:
    with database.read() as connection:
        return sorted(connection.scalars(select(images.c.image_id).where(which)))


def _leased(connection: Connection) -> Iterator[str]:
    return iter(
        connection.scalars(select(leases.c.image_id).where(leases.c.expires_at > datetime.now(UTC))).all()
    )


def _labelled(connection: Connection, limit: int | None) -> Iterator[str]:
    query = select(labels.c.image_id).where(labels.c.shown_as.is_not(None))
    last = query.order_by(labels.c.label_id.desc())
    query = query.distinct() if limit is None else last.limit(limit)
    return iter(connection.scalars(query).all())


def _add(connection: Connection, ids: list[str], found: dict[str, ListedImage]) -> None:
    columns = (images.c.image_id, images.c.file, images.c.info)
    for row in connection.execute(select(*columns).where(images.c.image_id.in_(ids))):
        found[row.image_id] = ListedImage(row.image_id, row.file, row.info)
    shown = (
        select(*version_columns(), labels.c.shown_as)
        .where(labels.c.image_id.in_(ids), labels.c.shown_as.is_not(None))
        .order_by(labels.c.image_id, labels.c.version)
    )
    for version in connection.execute(shown):
        # The later version of a tag counts.
        found[version.image_id].labels[version.shown_as] = LabelVersion(*version[:-1])
