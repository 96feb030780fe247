"""What readers had to change of the models' proposals, by model version."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from sqlalchemy import select

from breastlabel.catalog.database import Database
from breastlabel.catalog.label_version import FINAL
from breastlabel.catalog.tables import labels_table

__all__ = ["CorrectionSummary", "correction_summary"]


@dataclass(frozen=True)
class CorrectionSummary:
    """The accepted readings that started from proposals of one model version.

    Attributes:
        model, model_version: what proposed; None where the client did not say.
        n: how many readings were compared with their proposals.
        median_dice: of any lesion, between proposal and reading.
        accepted_unchanged: share of the readings that equal their proposals pixel by pixel.
        class_changed: share of the readings that call the image of another class.
        median_seconds: how long the reader had the image; None where that is never known.
    """

    model: str | None
    model_version: str | None
    n: int
    median_dice: float
    accepted_unchanged: float
    class_changed: float
    median_seconds: float | None


def correction_summary(database: Database) -> list[CorrectionSummary]:
    """One entry a model version, in the order of their first corrections.

    Every compared label is read once, so this takes the longer the more there are; ask seldom.
    """
    column = labels_table.c
    dice = column.agreement["dice"].as_float()
    query = (
        select(
            column.model,
            column.model_version,
            dice,
            column.agreement["unchanged"].as_boolean(),
            column.agreement["class_changed"].as_boolean(),
            column.seconds_spent,
        )
        # What could not be compared has no Dice.
        .where(column.agreement.is_not(None), dice.is_not(None), column.state == FINAL)
        .order_by(column.label_id)
    )
    groups: dict[tuple[str | None, str | None], list[tuple[float, bool, bool, float | None]]] = {}
    with database.read() as connection:
        for model, version, *measures in connection.execute(query):
            groups.setdefault((model, version), []).append(tuple(measures))
    return [_summary(model, version, rows) for (model, version), rows in groups.items()]


def _summary(
    model: str | None, version: str | None, rows: list[tuple[float, bool, bool, float | None]]
) -> CorrectionSummary:
    dice, unchanged, class_changed, seconds = zip(*rows, strict=True)
    known = [s for s in seconds if s is not None]
    return CorrectionSummary(
        model=model,
        model_version=version,
        n=len(rows),
        median_dice=float(median(dice)),
        accepted_unchanged=sum(map(bool, unchanged)) / len(rows),
        class_changed=sum(map(bool, class_changed)) / len(rows),
        median_seconds=float(median(known)) if known else None,
    )
