"""What the learning loop keeps: label versions, scores, leases, sessions, audit, counts, patients, exams."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)
_UNMEASURED = sa.text("agreement IS NULL AND proposal_id IS NOT NULL AND state = 'final'")
_EXCLUDED = sa.text("excluded IS NOT NULL")
#: Columns of a label that may change: the judgement on it, never what was read.
_LABEL_FIXED = (
    "label_id, image_id, version, tag, label, file, sha256, author, client_id, created_at, model, "
    "model_version, seconds_spent, proposal_id"
)


def upgrade() -> None:
    _extend_images()
    _create_tables()
    _fill()
    _index_images()
    _forbid_changes()


def downgrade() -> None:
    for table in (
        "audit",
        "sessions",
        "leases",
        "scores",
        "score_runs",
        "labels",
        "exams",
        "patients",
        "counts",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION breastlabel_append_only()")
    for index in ("waiting_id", "waiting_random", "labelled", "excluded", "exam_key"):
        op.drop_index(f"ix_images_{index}", "images")
    for column in ("random_key", "waiting", "exam_key", "info", "labelled_at", "labelled_by"):
        op.drop_column("images", column)


def _extend_images() -> None:
    for column in (
        sa.Column("random_key", sa.Float, nullable=False, server_default="0"),
        sa.Column("waiting", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("exam_key", sa.String),
        sa.Column("info", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("labelled_at", _TIME),
        sa.Column("labelled_by", sa.String),
    ):
        op.add_column("images", column)


def _create_tables() -> None:
    op.create_table(
        "counts",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.create_table(
        "patients",
        sa.Column("patient_key", sa.String, primary_key=True),
        sa.Column("first_seen", _TIME, nullable=False),
    )
    op.create_table(
        "exams",
        sa.Column("exam_key", sa.String, primary_key=True),
        sa.Column("patient_key", sa.String, nullable=False),
        sa.Column("acquisition_date", sa.Date),
        sa.Column("metadata", sa.JSON, nullable=False),
    )
    op.create_index("ix_exams_patient_key", "exams", ["patient_key"])
    op.create_table(
        "labels",
        sa.Column("label_id", sa.Integer, primary_key=True),
        sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("tag", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("shown_as", sa.String(32)),
        sa.Column("label", sa.String(16)),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("author", sa.String),
        sa.Column("client_id", sa.String),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("model", sa.String),
        sa.Column("model_version", sa.String),
        sa.Column("seconds_spent", sa.Float),
        sa.Column("proposal_id", sa.Integer),
        sa.Column("agreement", sa.JSON),
        sa.Column("info", sa.JSON, nullable=False),
        sa.UniqueConstraint("image_id", "version", name="uq_labels_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_labels_shown", "labels", ["shown_as", "image_id", "version"])
    op.create_index(
        "ix_labels_unmeasured",
        "labels",
        ["label_id"],
        sqlite_where=_UNMEASURED,
        postgresql_where=_UNMEASURED,
    )
    op.create_table(
        "score_runs",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("written_at", _TIME, nullable=False),
        sa.UniqueConstraint("method", "model", "model_version", name="uq_score_runs"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "scores",
        sa.Column("image_id", sa.String, primary_key=True),
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_scores_rank", "scores", ["run_id", "waiting", "value", "image_id"])
    op.create_table(
        "leases",
        sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column("client_id", sa.String, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("leased_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_index("ix_leases_expires_at", "leases", ["expires_at"])
    op.create_index("ix_leases_client", "leases", ["client_id", "leased_at"])
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Integer, primary_key=True),
        sa.Column("client_id", sa.String, nullable=False),
        sa.Column("author", sa.String),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME, nullable=False),
        sa.Column("n_saved", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_client", "sessions", ["client_id", "session_id"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("author", sa.String),
        sa.Column("client_id", sa.String),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("image_id", sa.String),
        sa.Column("label_id", sa.Integer),
        sa.Column("details", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_image", "audit", ["image_id", "audit_id"])


def _fill() -> None:
    """Say of the images that are there already what the new columns and tables hold."""
    bind = op.get_bind()
    draw = (
        "random()"
        if bind.dialect.name == "postgresql"
        else "(random() & 9007199254740991) / 9007199254740992.0"
    )
    waiting = sa.text("NOT reviewed AND excluded IS NULL")
    op.execute(f"UPDATE images SET random_key = {draw}, waiting = ({waiting.text})")
    _fill_exams(bind)
    patients = sa.table("patients", sa.column("patient_key"), sa.column("first_seen", _TIME))
    images = sa.table("images", sa.column("patient_key"))
    now = sa.literal(_now(bind), _TIME)
    bind.execute(
        patients.insert().from_select(
            ["patient_key", "first_seen"], sa.select(images.c.patient_key, now).distinct()
        )
    )
    op.execute(
        "INSERT INTO counts (name, value) SELECT 'total', count(*) FROM images "
        "UNION ALL SELECT 'missing', count(*) FROM images WHERE excluded = 'file-missing' "
        f"UNION ALL SELECT 'waiting', count(*) FROM images WHERE {waiting.text}"
    )


def _fill_exams(bind: sa.Connection) -> None:
    images = sa.table(
        "images",
        sa.column("image_id"),
        sa.column("patient_key"),
        sa.column("study_key"),
        sa.column("metadata", sa.JSON),
        sa.column("exam_key"),
    )
    exams = sa.table(
        "exams",
        sa.column("exam_key"),
        sa.column("patient_key"),
        sa.column("acquisition_date", sa.Date),
        sa.column("metadata", sa.JSON),
    )
    rows: dict[str, dict[str, Any]] = {}
    of_image = []
    columns = (images.c.image_id, images.c.patient_key, images.c.study_key, images.c.metadata)
    for image_id, patient_key, study_key, metadata in bind.execute(sa.select(*columns)):
        acquired = _date((metadata or {}).get("acquired"))
        key = study_key or (f"{patient_key}@{acquired.isoformat()}" if acquired else None)
        if key is None:
            continue
        row = rows.setdefault(
            key,
            {"exam_key": key, "patient_key": patient_key, "acquisition_date": acquired, "metadata": {}},
        )
        row["acquisition_date"] = row["acquisition_date"] or acquired
        of_image.append({"image": image_id, "exam": key})
    if rows:
        bind.execute(exams.insert(), list(rows.values()))
        bind.execute(sa.text("UPDATE images SET exam_key = :exam WHERE image_id = :image"), of_image)


def _index_images() -> None:
    op.create_index("ix_images_exam_key", "images", ["exam_key"])
    op.create_index("ix_images_waiting_id", "images", ["waiting", "image_id"])
    op.create_index("ix_images_waiting_random", "images", ["waiting", "random_key"])
    op.create_index("ix_images_labelled", "images", ["labelled_at", "image_id"])
    op.create_index(
        "ix_images_excluded", "images", ["excluded"], sqlite_where=_EXCLUDED, postgresql_where=_EXCLUDED
    )


def _forbid_changes() -> None:
    """What was done and what was read can be added to, and never be changed or removed."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION breastlabel_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME; END $$"
        )
        run = "EXECUTE FUNCTION breastlabel_append_only()"
        op.execute(f"CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW {run}")
        op.execute(
            f"CREATE TRIGGER labels_append_only BEFORE DELETE OR UPDATE OF {_LABEL_FIXED} ON labels "
            f"FOR EACH ROW {run}"
        )
        for table in ("audit", "labels"):
            op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} {run}")
        return
    for table, events in (
        ("audit", ("UPDATE", "DELETE")),
        ("labels", (f"UPDATE OF {_LABEL_FIXED}", "DELETE")),
    ):
        for event in events:
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.split()[0].lower()} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'table {table} is append-only'); END"
            )


def _now(bind: sa.Connection) -> datetime:
    now = datetime.now(UTC)
    return now.replace(tzinfo=None) if bind.dialect.name == "sqlite" else now


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None
