"""Images that a model has not read yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select

from breastlabel.catalog.cases import analysable
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.catalog.tables import images_table as images
from breastlabel.catalog.tables import labels_table as labels
from breastlabel.imaging.vocabulary import Modality

__all__ = ["Serving", "UnreadImage", "unread_images"]


class Serving(NamedTuple):
    """The model that reads a modality, and its version that serves."""

    model: str
    version: str


class UnreadImage(NamedTuple):
    """An image that is still to be read.

    Attributes:
        file: relative to the studies folder.
    """

    image_id: str
    file: str


def unread_images(
    connection: Connection, serving: Mapping[Modality, Serving], *, of: Collection[str] | None = None
) -> list[UnreadImage]:
    """Waiting images that a model may judge and of which the version that serves keeps no proposal.

    Args:
        serving: the modalities that are looked for.
        of: only those of these images; None looks through all.
    """
    if not serving or (of is not None and not of):
        return []
    query: Select[tuple[str, str]] = select(images.c.image_id, images.c.file).where(
        images.c.waiting == True,  # noqa: E712
        analysable(),
        or_(*(_unread(modality, model) for modality, model in serving.items())),
    )
    if of is not None:
        query = query.where(images.c.image_id.in_(of))
    return [UnreadImage(row.image_id, row.file) for row in connection.execute(query)]


def _unread(modality: Modality, serving: Serving) -> ColumnElement[bool]:
    proposed = exists().where(
        labels.c.shown_as == ORIGINAL,
        labels.c.image_id == images.c.image_id,
        labels.c.model == serving.model,
        labels.c.model_version == serving.version,
    )
    return and_(images.c.modality == modality.value, ~proposed)
