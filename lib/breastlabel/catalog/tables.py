"""The tables of a catalog. Migrations make them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

__all__ = [
    "audit_table",
    "counts_table",
    "dicom_instances_table",
    "dicom_studies_table",
    "exams_table",
    "images_table",
    "labels_table",
    "leases_table",
    "patients_table",
    "schema",
    "score_runs_table",
    "scores_table",
    "sessions_table",
    "state_table",
]

schema = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC here. SQLite stores it without a zone, PostgreSQL with one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _json(name: str, **options: Any) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), **options)


images_table = Table(
    "images",
    schema,
    Column("image_id", String, primary_key=True),
    Column("file", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("modality", String(8), nullable=False),
    Column("patient_key", String, nullable=False, index=True),
    Column("study_key", String),
    Column("laterality", String(1)),
    Column("view_position", String(8)),
    # "group" is a reserved word of SQL; the attribute keeps the domain's name.
    Column("group_key", String, key="group", nullable=False, index=True),
    Column("split", String(8), index=True),
    Column("label", String(16)),
    Column("reviewed", Boolean, nullable=False),
    Column("excluded", String),
    Column("spacing_rows", Float),
    Column("spacing_cols", Float),
    Column("metadata", JSON, nullable=False),
    # Drawn once, uniformly: reading along it is a random order that needs neither a sort nor a count.
    Column("random_key", Float, nullable=False, server_default="0"),
    # Neither reviewed nor excluded: may be offered to an annotator.
    Column("waiting", Boolean, nullable=False, server_default=false()),
    Column("exam_key", String, index=True),
    _json("info", nullable=False, server_default="{}"),
    # Of the newest final label: when it was saved, and by which author (or client, where nobody logs in).
    Column("labelled_at", UtcDateTime),
    Column("labelled_by", String),
    Index("ix_images_waiting_id", "waiting", "image_id"),
    Index("ix_images_waiting_random", "waiting", "random_key"),
    Index("ix_images_labelled", "labelled_at", "image_id"),
    Index(
        "ix_images_excluded",
        "excluded",
        sqlite_where=text("excluded IS NOT NULL"),
        postgresql_where=text("excluded IS NOT NULL"),
    ),
)

state_table = Table(
    "catalog_state", schema, Column("name", String, primary_key=True), Column("value", String, nullable=False)
)

counts_table = Table(
    "counts", schema, Column("name", String, primary_key=True), Column("value", Integer, nullable=False)
)

patients_table = Table(
    "patients",
    schema,
    Column("patient_key", String, primary_key=True),
    Column("first_seen", UtcDateTime, nullable=False),
)

exams_table = Table(
    "exams",
    schema,
    Column("exam_key", String, primary_key=True),
    Column("patient_key", String, nullable=False, index=True),
    Column("acquisition_date", Date),
    _json("metadata", nullable=False),
)

labels_table = Table(
    "labels",
    schema,
    Column("label_id", Integer, primary_key=True),
    Column("image_id", String, ForeignKey("images.image_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("tag", String(32), nullable=False),
    Column("state", String(8), nullable=False),
    # The tag under which this version may be shown; null once it is rejected (`shown_as`).
    Column("shown_as", String(32)),
    Column("label", String(16)),
    Column("file", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("author", String),
    Column("client_id", String),
    Column("created_at", UtcDateTime, nullable=False),
    Column("model", String),
    Column("model_version", String),
    Column("seconds_spent", Float),
    Column("proposal_id", Integer),
    _json("agreement"),
    _json("info", nullable=False),
    UniqueConstraint("image_id", "version", name="uq_labels_version"),
    Index("ix_labels_shown", "shown_as", "image_id", "version"),
    Index(
        "ix_labels_unmeasured",
        "label_id",
        sqlite_where=text("agreement IS NULL AND proposal_id IS NOT NULL AND state = 'final'"),
        postgresql_where=text("agreement IS NULL AND proposal_id IS NOT NULL AND state = 'final'"),
    ),
    sqlite_autoincrement=True,
)

#: One scoring of the images: what `scores` would otherwise repeat in every row and in its index.
score_runs_table = Table(
    "score_runs",
    schema,
    Column("run_id", Integer, primary_key=True),
    Column("method", String, nullable=False),
    Column("model", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    UniqueConstraint("method", "model", "model_version", name="uq_score_runs"),
    sqlite_autoincrement=True,
)

scores_table = Table(
    "scores",
    schema,
    Column("image_id", String, primary_key=True),
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("value", Float, nullable=False),
    # As the image's, so that the best waiting image is the first entry of one index.
    Column("waiting", Boolean, nullable=False),
    Index("ix_scores_rank", "run_id", "waiting", "value", "image_id"),
    sqlite_with_rowid=False,
)

leases_table = Table(
    "leases",
    schema,
    Column("image_id", String, ForeignKey("images.image_id"), primary_key=True),
    Column("client_id", String, nullable=False),
    Column("strategy", String, nullable=False),
    Column("leased_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index("ix_leases_client", "client_id", "leased_at"),
)

sessions_table = Table(
    "sessions",
    schema,
    Column("session_id", Integer, primary_key=True),
    Column("client_id", String, nullable=False),
    Column("author", String),
    Column("started_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("n_saved", Integer, nullable=False),
    Index("ix_sessions_client", "client_id", "session_id"),
    sqlite_autoincrement=True,
)

audit_table = Table(
    "audit",
    schema,
    Column("audit_id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("author", String),
    Column("client_id", String),
    Column("action", String(32), nullable=False),
    Column("image_id", String),
    Column("label_id", Integer),
    _json("details", nullable=False),
    Index("ix_audit_image", "image_id", "audit_id"),
    sqlite_autoincrement=True,
)

#: What the instances of a DICOM study share, once, so that studies are found and sorted along an index.
dicom_studies_table = Table(
    "dicom_studies",
    schema,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("patient_id", String, index=True),
    # Names and descriptions are matched whatever their case, and stored in one.
    Column("patient_name", String),
    # As DICOM writes them, YYYYMMDD and HHMMSS.FFFFFF, filled up with zeros: they compare as text.
    Column("study_date", String(8)),
    Column("study_time", String(13)),
    Column("accession_number", String, index=True),
    Column("study_description", String),
    _json("attributes", nullable=False),
    Index("ix_dicom_studies_date", "study_date", "study_instance_uid"),
)

dicom_instances_table = Table(
    "dicom_instances",
    schema,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False, index=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    # Null for what is no image of the catalog: segmentations, reports, loops.
    Column("image_id", String, unique=True),
    # Relative to the studies folder; null for an image that is no DICOM file and is converted when asked for.
    Column("file", String),
    # Size and time of the file when it was looked at: another stamp, another content.
    Column("stamp", String(48)),
    _json("attributes", nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("origin", String(16), nullable=False),
    Index("ix_dicom_instances_place", "study_instance_uid", "series_instance_uid", "modality"),
    Index("ix_dicom_instances_modality", "modality", "study_instance_uid"),
)
