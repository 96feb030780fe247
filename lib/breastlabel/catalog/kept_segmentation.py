"""A segmentation that a viewer stored, as the catalog knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping

__all__ = ["KeptSegmentation", "Status", "kept_from_row"]


class Status(StrEnum):
    """What became of a segmentation."""

    QUESTION = "question"
    SAVED = "saved"
    #: Answered: nothing that is painted in it is a lesion, so it made no label.
    IGNORED = "ignored"


@dataclass(frozen=True)
class KeptSegmentation:
    """A segmentation that was taken, or is asked about.

    Attributes:
        segmentation_id: grows with time; the id of its question.
        sop_instance_uid: DICOM's name of it.
        file: where it is kept, relative to the studies folder; None where nothing was asked about it.
        segments: for a question, what is to be told: ``{"name", "type", "colour", "images"}`` each.
        labels: ``{"image_id", "version"}`` of what it became.
        author: who drew it; None where unknown.
        client_id: through which client it came; None where unknown.
        info: what goes into the labels' `info`.
        received_at: in UTC.
        answer: name -> ``"benign"``, ``"malignant"`` or ``"ignore"``; None where nothing was answered.
        answered_by: None where unknown.
        answered_at: in UTC.
    """

    segmentation_id: int
    sop_instance_uid: str
    status: Status
    file: str | None
    segments: Sequence[Mapping[str, Any]]
    labels: Sequence[Mapping[str, Any]]
    author: str | None
    client_id: str | None
    info: Mapping[str, Any]
    received_at: datetime
    answer: Mapping[str, str] | None
    answered_by: str | None
    answered_at: datetime | None


def kept_from_row(row: RowMapping) -> KeptSegmentation:
    """The segmentation of a row of the table."""
    values = {f.name: row[f.name] for f in fields(KeptSegmentation)}
    return KeptSegmentation(**(values | {"status": Status(values["status"])}))
