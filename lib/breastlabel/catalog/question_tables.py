"""The tables of the segmentations that viewers stored, and of what was asked about them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint, text

from breastlabel.catalog.tables import UtcDateTime, schema

__all__ = ["question_images_table", "segment_meanings_table", "segmentations_table"]


def _json(name: str, **options: Any) -> Column[Any]:
    return Column(name, JSON(none_as_null=True), **options)


#: One row for each segmentation that became labels or is asked about; its id is the question's.
segmentations_table = Table(
    "segmentations",
    schema,
    Column("segmentation_id", Integer, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("status", String(8), nullable=False),
    # Where it is kept, relative to the studies folder; null where nothing was asked about it.
    Column("file", String),
    _json("segments", nullable=False),
    _json("labels", nullable=False),
    Column("author", String),
    Column("client_id", String),
    _json("info", nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    _json("answer"),
    Column("answered_by", String),
    Column("answered_at", UtcDateTime),
    UniqueConstraint("sop_instance_uid", name="uq_segmentations_sop_instance_uid"),
    Index(
        "ix_segmentations_open",
        "segmentation_id",
        sqlite_where=text("status = 'question'"),
        postgresql_where=text("status = 'question'"),
    ),
    sqlite_autoincrement=True,
)

#: The images of the open questions; rows go when the question is answered.
question_images_table = Table(
    "question_images",
    schema,
    Column("image_id", String, ForeignKey("images.image_id"), primary_key=True),
    Column(
        "segmentation_id",
        Integer,
        ForeignKey("segmentations.segmentation_id"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
)

#: What the site said for good about a segment's name.
segment_meanings_table = Table(
    "segment_meanings",
    schema,
    Column("name", String, primary_key=True),
    Column("meaning", String(9), nullable=False),
    Column("author", String),
    Column("decided_at", UtcDateTime, nullable=False),
)
