"""One reading of one image, as the catalog knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from breastlabel.catalog.tables import labels_table

__all__ = [
    "DRAFT",
    "FINAL",
    "ORIGINAL",
    "REJECTED",
    "STATES",
    "LabelVersion",
    "is_tag",
    "shown_as",
    "version_columns",
]

DRAFT, FINAL, REJECTED = "draft", "final", "rejected"
#: What a label version can be: in work, accepted, or taken back.
STATES = (DRAFT, FINAL, REJECTED)
#: The tag of what a model proposed; ``final`` and ``draft`` are tags as well as states.
ORIGINAL = "original"
_TAG = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True)
class LabelVersion:
    """A label map that someone or something made of an image. It never changes but for three fields.

    Attributes:
        label_id: unique in the catalog; grows with time.
        image_id: whose label map it is.
        version: 1, 2, ... over all readings of the image, whatever their tag.
        tag: what it was saved as: ``"final"``, ``"draft"``, ``"original"`` (a model's proposal) or another.
        state: ``"draft"``, ``"final"`` (accepted) or ``"rejected"``; may change.
        label: ``"normal"``, ``"benign"``, ``"malignant"`` as painted; None unknown.
        file: POSIX path of the immutable label map, relative to the studies folder.
        sha256: of the file's content, hexadecimal.
        author: who read it; None where unknown.
        client_id: through which client; None where unknown.
        created_at: when it was saved, in UTC.
        model: the model whose proposal it started from, or that made it; None where there was none.
        model_version: that model's version.
        seconds_spent: how long the reader had the image; None where unknown.
        proposal_id: ``label_id`` of the proposal it started from; None where there was none.
        agreement: how far proposal and reading agree, once that is computed; may be set.
        info: what the client said of it besides; may be added to.
    """

    label_id: int
    image_id: str
    version: int
    tag: str
    state: str
    label: str | None
    file: str
    sha256: str
    author: str | None
    client_id: str | None
    created_at: datetime
    model: str | None
    model_version: str | None
    seconds_spent: float | None
    proposal_id: int | None
    agreement: Mapping[str, Any] | None
    info: Mapping[str, Any]

    @property
    def shown_as(self) -> str | None:
        """The tag under which it may be shown; None for a rejected one."""
        return shown_as(self.tag, self.state)


def is_tag(name: str) -> bool:
    """Whether a name can be a label's tag, and so that of a folder of labels."""
    return _TAG.fullmatch(name) is not None


def shown_as(tag: str, state: str) -> str | None:
    """The tag under which a version may be shown: a draft once accepted is a final label.

    None for a rejected one.
    """
    if state == REJECTED:
        return None
    if state == DRAFT:
        return DRAFT
    return FINAL if tag == DRAFT else tag


def version_columns() -> list[Any]:
    """The columns of the labels' table that a `LabelVersion` is made of, in the order of its fields."""
    return [labels_table.c[f.name] for f in fields(LabelVersion)]
