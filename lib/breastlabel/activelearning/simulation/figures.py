"""The simulation's diagrams: learning curves, and areas against random."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from breastlabel.activelearning.simulation.curves import BASELINE

__all__ = ["SHORT", "TITLES", "curves_figure", "differences_figure", "png", "svg_uri"]

TITLES = {"dice": "Dice", "auc_malignant": "AUC, malignant against the rest", "score": "mean of Dice and AUC"}
SHORT = {"dice": "Dice", "auc_malignant": "malignant AUC", "score": "mean of Dice and AUC"}
"""In tables and sentences."""

# Okabe and Ito's colours, told apart by colour-blind readers; random is black, dashed and on top.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7a5195", "#8a8f98")
_MARKERS = "osD^vP*X"


def curves_figure(
    split: Mapping[str, Any],
    *,
    measures: Sequence[str],
    reference: Mapping[str, Any] | None = None,
) -> Any:
    """One panel for each measure: mean curve of each strategy over its labels, bars for 95 % intervals.

    Args:
        split: with ``strategies``, as `summarise_split` makes it.
        reference: of the same split; drawn as a line where given.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2 * len(measures), 4.6), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        for place, (name, strategy) in enumerate(split["strategies"].items()):
            _curve(axes, name, strategy, measure, place, n=len(split["strategies"]))
        full = None if reference is None else reference.get(measure)
        if full:
            axes.axhline(full["mean"], color="#55606e", linewidth=1, linestyle=":")
            axes.annotate("all labels", (0.01, full["mean"]), xycoords=("axes fraction", "data"), va="bottom")
        axes.set_xlabel("labelled images")
        axes.set_ylabel(TITLES[measure])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def differences_figure(areas: Mapping[str, Mapping[str, Any]]) -> Any:
    """For each measure and strategy the paired difference of the areas from random's, with its interval."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [name for name in next(iter(areas.values())) if name != BASELINE]
    figure = Figure(figsize=(4.4 * len(areas), 1.3 + 0.36 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(areas), squeeze=False, sharey=True)[0]
    for axes, (measure, of) in zip(panels, areas.items(), strict=True):
        for row, name in enumerate(names):
            against = of[name]["against_random"]
            low, high = against["ci95"] or (against["mean"], against["mean"])
            axes.plot([low, high], [row, row], color=_COLOURS[0], linewidth=2)
            axes.plot(against["mean"], row, marker="o", color=_COLOURS[0])
        axes.axvline(0, color="black", linewidth=1, linestyle="--")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("area under the curve less random's")
        axes.set_title(TITLES[measure], fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(alpha=0.25, axis="x")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def svg_uri(figure: Any) -> str:
    """For a page that needs nothing from elsewhere."""
    from breastlabel.evaluation.figures import svg_data_uri

    return svg_data_uri(figure)


def png(figure: Any) -> bytes:
    """For places that show no SVG."""
    buffer = io.BytesIO()
    # No version and no date inside: the same figures give the same file.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _curve(axes: Any, name: str, strategy: Mapping[str, Any], measure: str, place: int, *, n: int) -> None:
    points = strategy[f"{measure}_mean"]
    # Side by side where they would hide each other.
    step = strategy["n_labels"][1] - strategy["n_labels"][0]
    labels = np.asarray(strategy["n_labels"]) + step * 0.5 * (place / max(n - 1, 1) - 0.5)
    mean = np.array([np.nan if p is None else p["mean"] for p in points])
    ends = np.array([[0.0, 0.0] if p is None or p["ci95"] is None else _arms(p) for p in points]).T
    baseline = name == BASELINE
    axes.errorbar(
        labels,
        mean,
        yerr=ends,
        label=name,
        color="black" if baseline else _COLOURS[(place - 1) % len(_COLOURS)],
        linestyle="--" if baseline else "-",
        linewidth=2.2 if baseline else 1.5,
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=4,
        elinewidth=0.8,
        capsize=2,
        zorder=5 if baseline else 3,
    )


def _arms(point: Mapping[str, Any]) -> list[float]:
    return [point["mean"] - point["ci95"][0], point["ci95"][1] - point["mean"]]
