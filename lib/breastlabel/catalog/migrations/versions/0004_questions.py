"""Segmentations that viewers stored, the questions about them, and what the site answered for good."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TIME = sa.DateTime(timezone=True)
_OPEN = sa.text("status = 'question'")


def upgrade() -> None:
    op.create_table(
        "segmentations",
        sa.Column("segmentation_id", sa.Integer, primary_key=True),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("file", sa.String),
        sa.Column("segments", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("author", sa.String),
        sa.Column("client_id", sa.String),
        sa.Column("info", sa.JSON, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("answer", sa.JSON),
        sa.Column("answered_by", sa.String),
        sa.Column("answered_at", _TIME),
        sa.UniqueConstraint("sop_instance_uid", name="uq_segmentations_sop_instance_uid"),
        # An id is never used twice, however many rows go.
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_segmentations_open",
        "segmentations",
        ["segmentation_id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "question_images",
        sa.Column("image_id", sa.String, sa.ForeignKey("images.image_id"), primary_key=True),
        sa.Column(
            "segmentation_id",
            sa.Integer,
            sa.ForeignKey("segmentations.segmentation_id"),
            primary_key=True,
            autoincrement=False,
        ),
    )
    op.create_index("ix_question_images_segmentation_id", "question_images", ["segmentation_id"])
    op.create_table(
        "segment_meanings",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("meaning", sa.String(9), nullable=False),
        sa.Column("author", sa.String),
        sa.Column("decided_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    for table in ("segment_meanings", "question_images", "segmentations"):
        op.drop_table(table)
