"""What the learning page tells: labels over time, corrections of proposals, and what came of trainings."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from breastlabel.catalog.database import Database
from breastlabel.catalog.label_version import FINAL
from breastlabel.catalog.tables import labels_table
from breastlabel.errors import CheckpointError
from breastlabel.label.systems import MODELS
from breastlabel.training.registry import ModelRegistry
from breastlabel.training.spec import read_spec

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["CLASSES", "Day", "Figure", "Learning", "ModelHistory", "Version", "Week", "learning"]

#: In the order in which they are stacked.
CLASSES = ("normal", "benign", "malignant")
_UNKNOWN = "unknown"
#: Comparisons looked at for the weeks, newest first.
_COMPARED = 5000


@dataclass(frozen=True)
class Day:
    """How many readings of each class were accepted on a day (UTC)."""

    day: date
    normal: int = 0
    benign: int = 0
    malignant: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Week:
    """How well the readings of a week agree with the proposals that they began from.

    Attributes:
        monday: its first day.
        median_dice: of any lesion, between proposal and reading.
        class_changed: share of the readings that call the image of another class.
    """

    monday: date
    n: int
    median_dice: float
    class_changed: float


@dataclass(frozen=True)
class Figure:
    """A measure of a version; ``low`` and ``high`` are None where no interval was recorded."""

    on: str
    measure: str
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Version:
    """A checkpoint that is kept.

    Attributes:
        champion: whether it serves.
        n_train: how many images it learned from, where it says so.
    """

    version: str
    created: str | None
    champion: bool
    n_train: int | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class ModelHistory:
    """A model's versions, oldest first, and what was decided about each challenger, newest first."""

    model: str
    modality: str
    champion: str | None
    versions: tuple[Version, ...]
    decisions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Learning:
    """Everything the page shows.

    Attributes:
        labelled, total: images with a final label, and all.
        corrections: `CorrectionSummary` of each model version, as plain values.
        mlflow: where a tracking server shows the runs; None where they are kept in a file, or not at all.
    """

    labelled: int
    total: int
    days: tuple[Day, ...]
    weeks: tuple[Week, ...]
    corrections: tuple[Mapping[str, Any], ...]
    models: tuple[ModelHistory, ...]
    mlflow: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; days as YYYY-MM-DD."""
        said: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return said


def learning(app: BreastLabelApp, *, modality: str | None = None, mlflow: str | None = None) -> Learning:
    """Look it all up.

    Args:
        modality: ``MG`` or ``US``, for its models alone; None: all that are served.
    """
    status = app.datastore().status()
    names = [name for name in app.trainers() if modality is None or MODELS[name].modality.value == modality]
    corrections = [asdict(summary) for summary in app.corrections.summary()]
    return Learning(
        labelled=status["completed"],
        total=status["total"],
        days=tuple(label_days(app.catalog.database)),
        weeks=tuple(agreement_weeks(app.catalog.database)),
        corrections=tuple(c for c in corrections if modality is None or c["model"] in names),
        models=tuple(model_history(app.predictors.registry, name) for name in names),
        mlflow=mlflow,
    )


def label_days(database: Database) -> list[Day]:
    """Accepted readings by day, oldest first; label maps that came with the folder name no reader."""
    column = labels_table.c
    day = func.date(column.created_at)
    query = (
        select(day, column.label, func.count())
        .where(
            column.tag == FINAL,
            column.state == FINAL,
            or_(column.author.is_not(None), column.client_id.is_not(None)),
        )
        .group_by(day, column.label)
    )
    days: dict[date, dict[str, int]] = defaultdict(dict)
    with database.read() as connection:
        for when, label, n in connection.execute(query):
            name = label if label in CLASSES else _UNKNOWN
            counts = days[date.fromisoformat(str(when))]
            counts[name] = counts.get(name, 0) + int(n)
    return [Day(day, **counts) for day, counts in sorted(days.items())]


def agreement_weeks(database: Database) -> list[Week]:
    """How well readings agree with the proposals that they began from, by week, oldest first."""
    column = labels_table.c
    dice = column.agreement["dice"].as_float()
    query = (
        select(column.created_at, dice, column.agreement["class_changed"].as_boolean())
        .where(column.agreement.is_not(None), dice.is_not(None), column.state == FINAL)
        .order_by(column.label_id.desc())
        .limit(_COMPARED)
    )
    weeks: dict[date, list[tuple[float, bool]]] = defaultdict(list)
    with database.read() as connection:
        for when, value, changed in connection.execute(query):
            day = when.date()
            weeks[day - timedelta(days=day.weekday())].append((float(value), bool(changed)))
    return [
        Week(
            monday=monday,
            n=len(found),
            median_dice=float(median(value for value, _ in found)),
            class_changed=sum(changed for _, changed in found) / len(found),
        )
        for monday, found in sorted(weeks.items())
    ]


def model_history(registry: ModelRegistry, model: str) -> ModelHistory:
    """A model's versions and decisions; a damaged checkpoint is left out, as where it is served."""
    champion = registry.champion_version(model)
    return ModelHistory(
        model=model,
        modality=MODELS[model].modality.value,
        champion=champion,
        versions=tuple(_versions(registry, model, champion)),
        decisions=tuple(_decisions(registry, model)),
    )


def _versions(registry: ModelRegistry, model: str, champion: str | None) -> Iterator[Version]:
    for version, folder in registry.versions(model).items():
        try:
            spec = read_spec(folder)
        except CheckpointError:
            # It was whole a moment ago: somebody removes it now.
            continue
        n_train = spec.get("training", {}).get("n_train")
        yield Version(
            version=version,
            created=spec.get("created"),
            champion=version == champion,
            n_train=None if n_train is None else int(n_train),
            figures=tuple(_figures(spec.get("metrics", {}))),
        )


def _figures(metrics: Mapping[str, Any]) -> Iterator[Figure]:
    """Dice and AUC, of validation and of each test set."""
    sets = {"validation": metrics.get("val", {}), **metrics.get("test", {})}
    for on, measures in sets.items():
        for name, value in measures.items():
            if name != "dice" and not name.startswith("auc"):
                continue
            if isinstance(value, Mapping):
                low, high = value.get("ci95") or (None, None)
                yield Figure(on, name, value.get("mean"), low, high)
            else:
                yield Figure(on, name, value, None, None)


def _decisions(registry: ModelRegistry, model: str) -> list[dict[str, Any]]:
    if registry.root is None:
        return []
    path = Path(registry.root) / model / "decisions.jsonl"
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            # The last line of a killed process.
            continue
    return found[::-1]
