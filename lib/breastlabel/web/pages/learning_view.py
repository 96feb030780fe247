"""The learning page's charts and tables, ready for its template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from breastlabel.training.promotion import AUC_MARGIN, MARGIN
from breastlabel.web.pages.charts import Interval, interval_chart, stacked_bars, trend_chart
from breastlabel.web.pages.learning import CLASSES, Day, Learning, ModelHistory, Version

__all__ = ["learning_view"]

#: Bars that fit beside each other; more days than that are counted by week.
_MOST_BARS = 31
_MEASURES = {
    "dice": "Dice",
    "auc": "AUC, malignant",
    "auc_malignant": "AUC, malignant",
    "auc_lesion": "AUC, any lesion",
}
#: Challenges shown at once.
_MOST_DECISIONS = 8


def learning_view(found: Learning) -> dict[str, Any]:
    """What the template shows, in its order."""
    bars = _bars(found.days)
    return {
        "labelled": found.labelled,
        "total": found.total,
        "mlflow": found.mlflow,
        "labels": {
            "chart": stacked_bars("labels", bars, title="Accepted readings by day and class"),
            "rows": bars,
            "n": sum(sum(parts.values()) for _, parts in bars),
            "classes": [*CLASSES, *(["unknown"] if any("unknown" in parts for _, parts in bars) else [])],
        },
        "agreement": {
            "chart": trend_chart(
                "agreement",
                [(f"{week.monday:%d %b}", week.median_dice, week.n) for week in found.weeks],
                title="Median Dice between proposal and reading, by week",
            ),
            "rows": found.weeks,
        },
        "corrections": found.corrections,
        "models": [_model(history) for history in found.models],
    }


def _bars(days: Sequence[Day]) -> list[tuple[str, dict[str, int]]]:
    """By day, without gaps, where that fits; else by the week's Monday."""
    if not days:
        return []
    first, last = days[0].day, days[-1].day
    by_week = (last - first).days >= _MOST_BARS
    step = timedelta(days=7 if by_week else 1)
    start = first - timedelta(days=first.weekday()) if by_week else first
    counts: dict[Any, dict[str, int]] = defaultdict(lambda: dict.fromkeys(CLASSES, 0))
    for day in days:
        parts = counts[day.day - timedelta(days=day.day.weekday()) if by_week else day.day]
        for name in CLASSES:
            parts[name] += getattr(day, name)
        if day.unknown:
            parts["unknown"] = parts.get("unknown", 0) + day.unknown
    bars = []
    while start <= last:
        bars.append((f"{start:%d %b}", counts[start]))
        start += step
    return bars[-4 * _MOST_BARS :]


def _model(history: ModelHistory) -> dict[str, Any]:
    charts = [
        interval_chart(
            f"{history.model}-{place}",
            rows,
            title=f"{history.model}: {title}",
            domain=(0.0, 1.0),
            lines={"chance": 0.5} if "AUC" in title else None,
        )
        for place, (title, rows) in enumerate(_by_measure(history.versions).items())
    ]
    decisions = [_decision(decision) for decision in history.decisions[:_MOST_DECISIONS]]
    return {
        "name": history.model,
        "modality": history.modality,
        "champion": history.champion,
        "versions": history.versions,
        "charts": list(zip(_by_measure(history.versions), charts, strict=True)),
        "decisions": decisions,
        "older": max(0, len(history.decisions) - _MOST_DECISIONS),
        "challenges": _challenges(history),
    }


def _by_measure(versions: Sequence[Version]) -> dict[str, list[Interval]]:
    """Of each measure, a row for each version and each set of images it was taken on."""
    rows: dict[str, list[Interval]] = {}
    for version in versions:
        for figure in version.figures:
            title = _MEASURES.get(figure.measure)
            if title is None:
                continue
            name = f"{_short(version.version)}, {figure.on}"
            row = Interval(name, figure.mean, figure.low, figure.high, mark=version.champion)
            rows.setdefault(title, []).append(row)
    return rows


def _challenges(history: ModelHistory) -> Markup | None:
    """Each challenger's difference to the champion of its time; None where there was nothing to compare."""
    rows = []
    for decision in reversed(history.decisions[:_MOST_DECISIONS]):
        for key, measure in (("difference", "Dice"), ("auc_difference", "AUC")):
            if (value := decision.get(key)) is not None:
                name = f"{_short(str(decision['challenger']))}, {measure}"
                mean, low, high = value
                rows.append(Interval(name, mean, low, high, mark=bool(decision["promoted"])))
    if not rows:
        return None
    return interval_chart(
        f"{history.model}-challenges",
        rows,
        title=f"{history.model}: difference of each challenger to the champion of its time",
        lines={"equal": 0.0, "margin": -max(MARGIN, AUC_MARGIN)},
    )


def _decision(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time": str(decision.get("time", ""))[:16].replace("T", " "),
        "challenger": decision["challenger"],
        "champion": decision.get("champion"),
        "promoted": bool(decision["promoted"]),
        "reason": decision["reason"],
    }


def _short(version: str) -> str:
    """The end of a version that is made like ours, which tells it from others; the whole of another."""
    parts = version.split("-")
    return parts[2] if len(parts) == 3 and len(parts[0]) == 8 and parts[0].isdecimal() else version
