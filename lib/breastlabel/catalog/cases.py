"""Cases: the images that a reader has in front of them together, an exam's, or one that belongs to none."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy import case as when

from breastlabel.catalog.leases import Lease
from breastlabel.catalog.tables import exams_table as exams
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import leases_table as leases
from breastlabel.imaging.vocabulary import Modality

__all__ = [
    "Case",
    "CaseImage",
    "analysable",
    "case_key",
    "key_of_case_id",
    "key_of_image",
    "leased_cases",
    "load_cases",
    "of_cases",
    "prior_cases",
    "waits",
]

_EXAM, _IMAGE = "e:", "i:"
_CHUNK = 500


@dataclass(frozen=True)
class CaseImage:
    """One image of a case.

    Attributes:
        patient_key: None where nobody named a patient.
        waiting: neither reviewed nor excluded.
        analysable: False of what no model judges and nobody needs to read: a spot view, a specimen.
        random_key: as it was drawn when the image came; no other image has it.
    """

    image_id: str
    case_key: str
    patient_key: str | None
    modality: Modality
    laterality: str | None
    view_position: str | None
    waiting: bool
    reviewed: bool
    excluded: str | None
    analysable: bool
    random_key: float


@dataclass(frozen=True)
class Case:
    """An exam's images, or one image that belongs to no exam.

    Attributes:
        key: the catalog's own; nobody outside is told it, for it may hold what a site calls its patients.
        images: sorted by id, the excluded ones too; never empty.
        acquired: None where unknown.
    """

    key: str
    images: tuple[CaseImage, ...]
    acquired: date | None = None

    @property
    def case_id(self) -> str:
        """What the case is called outside: opaque, the same at every start; see `key_of_case_id`."""
        packed = struct.pack(">d", min(image.random_key for image in self.images))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @property
    def modality(self) -> Modality:
        """Mammography where any image is; an exam may hold both."""
        return Modality.MG if any(i.modality is Modality.MG for i in self.images) else Modality.US

    @property
    def patient_key(self) -> str | None:
        """None where nobody named a patient."""
        return next((i.patient_key for i in self.images if i.patient_key), None)

    @property
    def offered(self) -> tuple[CaseImage, ...]:
        """The images that are to be read."""
        return tuple(i for i in self.images if i.excluded is None and i.analysable)

    @property
    def is_open(self) -> bool:
        """Whether one of them has no final label yet."""
        return any(i.waiting for i in self.offered)


def case_key() -> ColumnElement[str]:
    """The key of the case that a row of the images' table belongs to."""
    # Literals: PostgreSQL takes an expression with parameters for another one where it is repeated.
    exam, image = (literal_column(f"'{prefix}'", String) for prefix in (_EXAM, _IMAGE))
    return func.coalesce(exam.concat(images.c.exam_key), image.concat(images.c.image_id))


def analysable() -> ColumnElement[bool]:
    """Whether a row of the images' table is of an image that a model may judge."""
    reason: ColumnElement[str] = images.c.metadata["not_analysable"].as_string()
    return reason.is_(None)


def waits() -> ColumnElement[bool]:
    """Whether a row of the images' table waits, said so that SQLite does not look through all that wait.

    Without figures about the tables it would take the index of those for the best way to a case's few images.
    """
    return when((images.c.waiting == True, 1), else_=0) == 1  # noqa: E712


def key_of_case_id(connection: Connection, case_id: str) -> str | None:
    """The key of a case; None where there is none of that id.

    A case is called by the smallest of its images' random keys, so an image that joins it later may give it
    another id. The one it had still leads to it, for every image's does.
    """
    try:
        packed = base64.urlsafe_b64decode(case_id.encode("ascii") + b"=")
        (random_key,) = struct.unpack(">d", packed)
    except (ValueError, binascii.Error, struct.error):
        return None
    if not 0.0 <= random_key < 1.0:
        return None
    # Both values of the index's first column are named, so that the index is used.
    either = images.c.waiting.in_([True, False])
    found = connection.execute(select(case_key()).where(either, images.c.random_key == random_key)).first()
    return None if found is None else str(found[0])


def key_of_image(connection: Connection, image_id: str) -> str | None:
    """The key of the case that an image belongs to; None where the catalog has no such image."""
    found = connection.execute(select(case_key()).where(images.c.image_id == image_id)).first()
    return None if found is None else str(found[0])


def load_cases(connection: Connection, keys: Iterable[str]) -> dict[str, Case]:
    """Cases by their keys, in the order of these; keys without images are left out. Two queries."""
    wanted = list(dict.fromkeys(keys))
    found: dict[str, list[CaseImage]] = {key: [] for key in wanted}
    for image in _images(connection, of_cases(wanted)):
        found[image.case_key].append(image)
    exam_keys = [key.removeprefix(_EXAM) for key in wanted if key.startswith(_EXAM)]
    acquired: dict[str, date | None] = {}
    for chunk in _chunks(exam_keys):
        query = select(exams.c.exam_key, exams.c.acquisition_date).where(exams.c.exam_key.in_(chunk))
        acquired.update((_EXAM + key, day) for key, day in connection.execute(query))
    return {key: Case(key, tuple(own), acquired.get(key)) for key, own in found.items() if own}


def of_cases(keys: Collection[str]) -> ColumnElement[bool]:
    """Which rows of the images' table belong to these cases."""
    exam_keys = [key.removeprefix(_EXAM) for key in keys if key.startswith(_EXAM)]
    alone = [key.removeprefix(_IMAGE) for key in keys if key.startswith(_IMAGE)]
    conditions: list[ColumnElement[bool]] = []
    # An empty list in an OR would keep the database from its indexes.
    if exam_keys:
        conditions.append(images.c.exam_key.in_(exam_keys))
    if alone:
        conditions.append(and_(images.c.image_id.in_(alone), images.c.exam_key.is_(None)))
    return or_(false(), *conditions)


def prior_cases(connection: Connection, cases: Iterable[Case]) -> dict[str, list[Case]]:
    """The older exams of the same patient and modality, newest first, by the key of each case.

    Exams without a date are nobody's priors. Three queries, however many cases.
    """
    dated = [case for case in cases if case.acquired is not None and case.patient_key is not None]
    patients = sorted({str(case.patient_key) for case in dated})
    older: dict[str, list[tuple[str, date]]] = {}
    columns = (exams.c.patient_key, exams.c.exam_key, exams.c.acquisition_date)
    for chunk in _chunks(patients):
        query = select(*columns).where(exams.c.patient_key.in_(chunk), exams.c.acquisition_date.is_not(None))
        for patient, key, day in connection.execute(query):
            older.setdefault(patient, []).append((_EXAM + key, day))
    keys = {
        key
        for case in dated
        for key, day in older.get(str(case.patient_key), ())
        if case.acquired is not None and day < case.acquired
    }
    known = load_cases(connection, sorted(keys))
    return {case.key: _before(case, known.values()) for case in dated}


def _before(case: Case, others: Iterable[Case]) -> list[Case]:
    prior = [
        other
        for other in others
        if other.patient_key == case.patient_key
        and other.modality is case.modality
        and other.acquired is not None
        and case.acquired is not None
        and other.acquired < case.acquired
        and any(image.excluded is None for image in other.images)
    ]
    return sorted(prior, key=lambda other: (str(other.acquired), other.key), reverse=True)


def leased_cases(connection: Connection) -> dict[str, Lease]:
    """Cases of which an image is on lease now, the one leased first before the others, with that lease."""
    query = (
        select(*(leases.c[name] for name in _LEASE), case_key())
        .join(images, images.c.image_id == leases.c.image_id)
        .where(leases.c.expires_at > datetime.now(UTC))
    )
    found: dict[str, Lease] = {}
    for *values, key in sorted(connection.execute(query), key=lambda row: (row.leased_at, row.image_id)):
        found.setdefault(str(key), Lease(*values))
    return found


_LEASE = ("image_id", "client_id", "strategy", "leased_at", "expires_at")
_COLUMNS = (
    "image_id",
    "patient_key",
    "modality",
    "laterality",
    "view_position",
    "waiting",
    "reviewed",
    "excluded",
    "random_key",
    "dataset",
    "group",
)


def _images(connection: Connection, which: ColumnElement[bool]) -> list[CaseImage]:
    query: Select[Any] = select(*(images.c[name] for name in _COLUMNS), case_key(), analysable())
    return [_image(row) for row in sorted(connection.execute(query.where(which)))]


def _image(row: Sequence[Any]) -> CaseImage:
    *values, dataset, group, key, judged = row
    known = dict(zip(_COLUMNS, values, strict=False))
    invented = ("", f"{dataset}:{group}", f"{dataset}:{known['image_id']}")
    known["patient_key"] = None if known["patient_key"] in invented else known["patient_key"]
    known["modality"] = Modality(known["modality"])
    return CaseImage(case_key=str(key), analysable=bool(judged), **known)


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
