"""Patients and exams, as far as images and their headers tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection

from breastlabel.catalog.counts import upsert
from breastlabel.catalog.models import ImageRecord
from breastlabel.catalog.tables import exams_table, patients_table

__all__ = ["Exam", "Patient", "acquired_on", "add_patients_and_exams", "exam_key"]

#: Where importers note the date of acquisition among an image's metadata, ISO 8601.
_ACQUIRED = "acquired"


@dataclass(frozen=True)
class Patient:
    """A patient, known by key only.

    Attributes:
        patient_key: a key for grouping, not the identifier in any hospital system.
        first_seen: when the catalog first learnt of an image of this patient, in UTC.
    """

    patient_key: str
    first_seen: datetime


@dataclass(frozen=True)
class Exam:
    """What was acquired of a patient in one visit.

    Attributes:
        exam_key: the study's key; where images name none, patient and day.
        acquisition_date: None where unknown.
        metadata: plain JSON values.
    """

    exam_key: str
    patient_key: str
    acquisition_date: date | None
    metadata: Mapping[str, Any]


def exam_key(record: ImageRecord) -> str | None:
    """The exam an image belongs to; None where neither its study nor its date is known."""
    if record.study_key:
        return record.study_key
    acquired = acquired_on(record)
    return f"{record.patient_key}@{acquired.isoformat()}" if acquired else None


def add_patients_and_exams(connection: Connection, records: Iterable[ImageRecord]) -> None:
    """Make known the patients and exams of these images; those known stay as they are."""
    now = datetime.now(UTC)
    patients: dict[str, dict[str, Any]] = {}
    exams: dict[str, dict[str, Any]] = {}
    for record in records:
        patients.setdefault(record.patient_key, {"patient_key": record.patient_key, "first_seen": now})
        key, acquired = exam_key(record), acquired_on(record)
        if key is not None:
            exam = exams.setdefault(
                key,
                {
                    "exam_key": key,
                    "patient_key": record.patient_key,
                    "acquisition_date": acquired,
                    "metadata": {},
                },
            )
            exam["acquisition_date"] = exam["acquisition_date"] or acquired
    insert = upsert(connection)
    # In one order everywhere, so that two transactions never wait for each other.
    for table, rows in ((patients_table, patients), (exams_table, exams)):
        if rows:
            connection.execute(insert(table).on_conflict_do_nothing(), [rows[key] for key in sorted(rows)])


def acquired_on(record: ImageRecord) -> date | None:
    """When an image was acquired; None where nobody said so in a way that can be read."""
    value = record.metadata.get(_ACQUIRED)
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None
