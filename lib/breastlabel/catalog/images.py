"""The images of a catalog: adding, finding and changing them, with all that follows from a change."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from breastlabel.catalog.counts import MISSING, TOTAL, WAITING, add_to_counts
from breastlabel.catalog.database import Database
from breastlabel.catalog.models import (
    FILE_MISSING,
    SPLITS,
    ImageRecord,
    record_columns,
    record_from_row,
    row_from_record,
)
from breastlabel.catalog.patients import add_patients_and_exams, exam_key
from breastlabel.catalog.tables import images_table, scores_table
from breastlabel.errors import NotFoundError, UnknownNameError

__all__ = ["Images", "is_waiting", "lock_image", "mark_image", "unknown_image"]

_CHUNK = 500
# Not the global generator: a seeded one would draw the same order in every folder.
_RANDOM = secrets.SystemRandom()
_FIELDS = frozenset(f.name for f in fields(ImageRecord)) - {"image_id"}


def is_waiting(*, reviewed: bool, excluded: str | None) -> bool:
    """Whether an image may be offered to an annotator."""
    return not reviewed and excluded is None


def unknown_image(image_id: str) -> NotFoundError:
    """The error that says the catalog has no such image."""
    shown = str(image_id).encode("utf-8", "backslashreplace").decode()[:80]
    return NotFoundError(f"an image of the catalog is required; '{shown}' is not in it; list the images")


class Images:
    """The images' table. `Catalog` hands its methods on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(images_table)).scalar_one())

    def has(self, image_id: str) -> bool:
        with self._database.read() as connection:
            return connection.execute(_HAS, {"b_image": image_id}).first() is not None

    def add(self, records: Iterable[ImageRecord]) -> int:
        wanted = {record.image_id: record for record in records}
        if not wanted:
            return 0
        with self._database.write() as connection:
            self._database.serialize(connection, "add images")
            known = _known(connection, list(wanted))
            new = [record for image_id, record in wanted.items() if image_id not in known]
            if new:
                connection.execute(insert(images_table), [_new_row(record) for record in new])
                add_patients_and_exams(connection, new)
                waiting = sum(is_waiting(reviewed=r.reviewed, excluded=r.excluded) for r in new)
                missing = sum(r.excluded == FILE_MISSING for r in new)
                add_to_counts(connection, {TOTAL: len(new), MISSING: missing, WAITING: waiting})
        return len(new)

    def all(self, *, split: str | None, include_excluded: bool) -> list[ImageRecord]:
        query = select(*record_columns()).order_by(images_table.c.image_id)
        if split is not None:
            if split not in SPLITS:
                raise UnknownNameError("split", split, SPLITS)
            query = query.where(images_table.c.split == split)
        if not include_excluded:
            query = query.where(images_table.c.excluded.is_(None))
        with self._database.read() as connection:
            return [record_from_row(row) for row in connection.execute(query)]

    def one(self, image_id: str) -> ImageRecord:
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"b_image": image_id}).first()
        if row is None:
            raise unknown_image(image_id)
        return record_from_row(row)

    def of_patient(self, patient_key: str) -> list[ImageRecord]:
        with self._database.read() as connection:
            rows = connection.execute(_OF_PATIENT, {"b_patient": patient_key})
            # Sorted here: the index on patients knows no order of images.
            return sorted(map(record_from_row, rows), key=lambda r: r.image_id)

    def update(self, connection: Connection, changes: Mapping[str, Mapping[str, Any]]) -> list[ImageRecord]:
        """Change images in the caller's transaction."""
        changed: dict[str, ImageRecord] = {}
        counts: Counter[str] = Counter()
        # In one order everywhere, so that two transactions never wait for each other.
        for image_id in sorted(changes):
            for name in changes[image_id]:
                if name not in _FIELDS:
                    raise UnknownNameError("field of an image", name, _FIELDS)
            row = connection.execute(_ONE.with_for_update(), {"b_image": image_id}).first()
            if row is None:
                raise unknown_image(image_id)
            before = record_from_row(row)
            record = replace(before, **changes[image_id])
            changed[image_id] = record
            values = {images_table.c[k]: v for k, v in row_from_record(record).items()}
            values[images_table.c.exam_key] = exam_key(record)
            connection.execute(update(images_table).where(images_table.c.image_id == image_id).values(values))
            counts[MISSING] += (record.excluded == FILE_MISSING) - (before.excluded == FILE_MISSING)
            waits = is_waiting(reviewed=record.reviewed, excluded=record.excluded)
            if waits != is_waiting(reviewed=before.reviewed, excluded=before.excluded):
                mark_image(connection, image_id, scores=True, waiting=waits)
                counts[WAITING] += 1 if waits else -1
        add_patients_and_exams(connection, changed.values())
        add_to_counts(connection, counts)
        return [changed[image_id] for image_id in changes]

    def info(self, image_id: str) -> dict[str, Any]:
        with self._database.read() as connection:
            row = connection.execute(_INFO, {"b_image": image_id}).first()
        if row is None:
            raise unknown_image(image_id)
        return dict(row.info)

    def update_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            row = connection.execute(_INFO.with_for_update(), {"b_image": image_id}).first()
            if row is None:
                raise unknown_image(image_id)
            connection.execute(_SET, {"b_image": image_id, "info": {**row.info, **info}})


def lock_image(connection: Connection, image_id: str) -> RowMapping:
    """The image's row, which no other transaction changes until this one ends.

    Raises:
        NotFoundError: the catalog has no such image.
    """
    row = connection.execute(_LOCK, {"b_image": image_id}).mappings().first()
    if row is None:
        raise unknown_image(image_id)
    return row


def mark_image(connection: Connection, image_id: str, *, scores: bool, waiting: bool, **values: Any) -> bool:
    """Set an image's ``waiting`` and other columns; and that of its scores, where it changed.

    The image comes before its scores: whoever writes scores holds the image's row, and so either sees what
    is written here or is seen by the second statement.

    Returns:
        False where it is known that the image has no scores.
    """
    connection.execute(_SET, {"b_image": image_id, "waiting": waiting, **values})
    return (
        not scores or connection.execute(_SET_SCORES, {"b_image": image_id, "waiting": waiting}).rowcount > 0
    )


def _new_row(record: ImageRecord) -> dict[str, Any]:
    row = row_from_record(record)
    return row | {
        "random_key": _RANDOM.random(),
        "waiting": is_waiting(reviewed=record.reviewed, excluded=record.excluded),
        "exam_key": exam_key(record),
        "info": {},
    }


def _known(connection: Connection, ids: list[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        column = images_table.c.image_id
        known.update(connection.scalars(select(column).where(column.in_(ids[start : start + _CHUNK]))))
    return known


_IMAGE = images_table.c.image_id == bindparam("b_image")
_HAS = select(images_table.c.image_id).where(_IMAGE)
_ONE = select(*record_columns()).where(_IMAGE)
_OF_PATIENT = select(*record_columns()).where(images_table.c.patient_key == bindparam("b_patient"))
_INFO = select(images_table.c.info).where(_IMAGE)
_LOCK = (
    select(*(images_table.c[n] for n in ("label", "reviewed", "excluded", "waiting", "labelled_at")))
    .where(_IMAGE)
    .with_for_update()
)
_SET = update(images_table).where(_IMAGE)
_SET_SCORES = update(scores_table).where(scores_table.c.image_id == bindparam("b_image"))
