"""The labels that are shown with the images of cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from breastlabel.catalog.label_version import DRAFT, FINAL
from breastlabel.catalog.tables import labels_table as labels

__all__ = ["ShownLabel", "shown_labels"]

_CHUNK = 500


@dataclass(frozen=True)
class ShownLabel:
    """The label of an image that counts: the newest final one, else the newest draft."""

    version: int
    tag: str
    state: str
    label: str | None


def shown_labels(connection: Connection, image_ids: Sequence[str]) -> Mapping[str, ShownLabel]:
    """The label of each image that has one; one query for up to 500 images."""
    columns = (labels.c.image_id, labels.c.version, labels.c.shown_as, labels.c.state, labels.c.label)
    found: dict[str, ShownLabel] = {}
    for start in range(0, len(image_ids), _CHUNK):
        chunk = image_ids[start : start + _CHUNK]
        query = (
            select(*columns)
            .where(labels.c.shown_as.in_((DRAFT, FINAL)), labels.c.image_id.in_(chunk))
            .order_by(labels.c.image_id, labels.c.version)
        )
        for image_id, version, tag, state, label in connection.execute(query):
            if tag == FINAL or image_id not in found or found[image_id].tag != FINAL:
                found[image_id] = ShownLabel(version, tag, state, label)
    return found
