"""The report's diagrams and pictures, as data URIs, so that the page needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import MissingDependencyError
from breastlabel.evaluation.classification import ECE_BINS
from breastlabel.evaluation.lesions import FROC_RATES, froc_curve
from breastlabel.evaluation.table import EvaluationTable, Picture
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["bar_chart", "case_picture", "learning_curves", "svg_data_uri", "table_figures"]

# Okabe and Ito's colours: told apart by colour-blind readers.
COLOURS = {"normal": "#0072B2", "benign": "#009E73", "malignant": "#D55E00"}
READER_RGB, MODEL_RGB = (0, 204, 255), (255, 170, 0)
_GREY = "#8a8f98"


def table_figures(table: EvaluationTable) -> dict[str, str]:
    """Title to data URI, for each diagram that these images allow."""
    drawn: dict[str, str] = {}
    judged = table.judged
    known = judged.labels >= 0
    if len(np.unique(judged.labels[known])) > 1:
        drawn["ROC curve of each class"] = _roc(judged, known)
        drawn["Precision and recall of each class"] = _precision_recall(judged, known)
    if known.any():
        drawn["Confusion matrix"] = _confusion(judged, known)
        drawn["Reliability of the most probable class"] = _reliability(judged, known)
    if table.has_lesion.any():
        drawn["FROC: lesions found against false marks"] = _froc(table)
        drawn["Dice of the images with a lesion"] = _dice_histogram(table)
    return drawn


def learning_curves(history: Sequence[Mapping[str, Any]]) -> str | None:
    """Losses and validation figures by epoch, from a checkpoint's ``history.json``; None if it has none."""
    names = [n for n in dict.fromkeys(k for h in history for k in h) if n not in ("epoch", "seconds", "lr")]
    losses = [n for n in names if n in ("train_loss", "val_loss")]
    scores = [n for n in names if n.startswith("val_") and n not in losses]
    panels = [p for p in ((losses, "joint loss"), (scores, "on the validation split")) if p[0]]
    if not panels:
        return None
    figure = _figure(width=4.4 * len(panels))
    for axes, (group, title) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in group:
            epochs = [h.get("epoch", i + 1) for i, h in enumerate(history)]
            values = [np.nan if h.get(name) is None else h[name] for h in history]
            axes.plot(epochs, values, label=name.replace("_", " "))
        _label(axes, x="epoch", y=title)
        axes.legend(frameon=False)
    return svg_data_uri(figure)


def bar_chart(values: Mapping[str, tuple[float, float, float]], *, unit: str) -> str:
    """Horizontal bars (mean, low, high) by name."""
    figure = _figure(width=6.4, height=0.7 + 0.4 * len(values))
    axes = figure.subplots()
    means = np.array([v[0] for v in values.values()])
    ends = np.array([[v[0] - v[1], v[2] - v[0]] for v in values.values()]).T
    axes.barh(list(values), means, xerr=np.maximum(ends, 0), color=COLOURS["normal"], capsize=3)
    axes.invert_yaxis()
    axes.axvline(0, color=_GREY, linewidth=1)
    _label(axes, x=unit, y="")
    return svg_data_uri(figure)


def case_picture(picture: Picture) -> str:
    """The image with the reader's outline in blue and the model's in orange, twice enlarged if tiny."""
    grey = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_GRAYSCALE)
    zoom = 2 if max(grey.shape) <= 300 else 1
    grey = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    canvas = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for outlines, rgb in ((picture.reader, READER_RGB), (picture.model, MODEL_RGB)):
        polygons = [np.asarray(points, np.int32) * zoom + zoom // 2 for points in outlines]
        cv2.polylines(canvas, polygons, True, rgb[::-1], thickness=zoom, lineType=cv2.LINE_AA)
    encoded = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def _roc(table: EvaluationTable, known: npt.NDArray[np.bool_]) -> str:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = _figure()
    axes = figure.subplots()
    for c, truth, score in _per_class(table, known):
        false, true, _ = roc_curve(truth, score)
        area = roc_auc_score(truth, score)
        axes.plot(false, true, color=COLOURS[c.label], label=f"{c.label}, AUC {area:.3f} (n = {truth.sum()})")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
    _label(axes, x="1 − specificity", y="sensitivity", square=True)
    axes.legend(frameon=False, loc="lower right")
    return svg_data_uri(figure)


def _precision_recall(table: EvaluationTable, known: npt.NDArray[np.bool_]) -> str:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure = _figure()
    axes = figure.subplots()
    for c, truth, score in _per_class(table, known):
        precision, recall, _ = precision_recall_curve(truth, score)
        mean = average_precision_score(truth, score)
        colour = COLOURS[c.label]
        axes.step(recall, precision, where="post", color=colour, label=f"{c.label}, AP {mean:.3f}")
        axes.axhline(truth.mean(), color=colour, linewidth=0.8, linestyle=":")
    _label(axes, x="recall", y="precision", square=True)
    axes.legend(frameon=False, loc="lower left", title="dotted: share of the class")
    return svg_data_uri(figure)


def _froc(table: EvaluationTable) -> str:
    curve = froc_curve(table.matches)
    figure = _figure()
    axes = figure.subplots()
    right = max(FROC_RATES[2], min(FROC_RATES[-1], 1.1 * float(curve.fp_per_image.max())))
    # The most candidates are reached before the axis ends; the curve stays there.
    axes.step(
        [*curve.fp_per_image, right],
        [*curve.sensitivity, curve.sensitivity[-1]],
        where="post",
        color=COLOURS["malignant"],
    )
    axes.set_xlim(0, right)
    axes.set_ylim(0, 1.02)
    _label(axes, x="false marks per image", y="share of lesions found")
    return svg_data_uri(figure)


def _confusion(table: EvaluationTable, known: npt.NDArray[np.bool_]) -> str:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(table.labels[known], table.predicted[known], labels=list(LesionClass))
    rows = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure()
    axes = figure.subplots()
    axes.imshow(rows, cmap="Blues", vmin=0, vmax=1)
    for (row, col), share in np.ndenumerate(rows):
        axes.text(
            col,
            row,
            f"{counts[row, col]}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.55 else "black",
        )
    names = [c.label for c in LesionClass]
    axes.set_xticks(range(3), names)
    axes.set_yticks(range(3), names, rotation=90, va="center")
    axes.set_xlabel("model")
    axes.set_ylabel("reader")
    return svg_data_uri(figure)


def _reliability(table: EvaluationTable, known: npt.NDArray[np.bool_]) -> str:
    from breastlabel.inference.calibration import reliability_bins

    bins = reliability_bins(table.probabilities[known], table.labels[known], n_bins=ECE_BINS)
    filled = bins.counts > 0
    figure = _figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([1 / 3, 1], [1 / 3, 1], color=_GREY, linewidth=1, linestyle=":")
    upper.plot(bins.confidence[filled], bins.accuracy[filled], marker="o", color=COLOURS["normal"])
    upper.set_ylim(0, 1.05)
    _label(upper, x="", y="share correct")
    edges = np.linspace(0, 1, ECE_BINS + 1)
    lower.stairs(bins.counts, edges, fill=True, color=COLOURS["normal"], edgecolor="white")
    lower.set_xlim(0.3, 1.01)
    _label(lower, x="confidence", y="images")
    return svg_data_uri(figure)


def _dice_histogram(table: EvaluationTable) -> str:
    figure = _figure()
    axes = figure.subplots()
    chosen = [
        (c.label, table.lesion_dice[table.has_lesion & (table.labels == c)])
        for c in (LesionClass.BENIGN, LesionClass.MALIGNANT)
    ]
    present = [(name, values) for name, values in chosen if len(values)]
    if not present:
        present = [("benign", table.lesion_dice[table.has_lesion])]
    axes.hist(
        [values for _, values in present],
        bins=np.linspace(0, 1, 21),
        stacked=True,
        color=[COLOURS[name] for name, _ in present],
        edgecolor="white",
        linewidth=0.5,
        label=[f"{name}, median {np.median(values):.2f} (n = {len(values)})" for name, values in present],
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    axes.yaxis.get_major_locator().set_params(integer=True)
    _label(axes, x="Dice", y="images")
    axes.legend(frameon=False, loc="upper left")
    return svg_data_uri(figure)


def _per_class(
    table: EvaluationTable, known: npt.NDArray[np.bool_]
) -> list[tuple[LesionClass, npt.NDArray[np.bool_], npt.NDArray[np.float64]]]:
    columns = [(c, table.labels[known] == c, table.probabilities[known, c]) for c in LesionClass]
    return [(c, truth, score) for c, truth, score in columns if truth.any() and not truth.all()]


def _figure(*, width: float = 4.4, height: float = 3.7) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib is required for the diagrams of a report; it is not installed; pip install matplotlib"
        ) from error
    # A figure of its own, without pyplot's state, draws in any thread and without a display.
    return Figure(figsize=(width, height), layout="constrained")


def _label(axes: Any, *, x: str, y: str, square: bool = False) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if square:
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)


def svg_data_uri(figure: Any) -> str:
    """A matplotlib figure as the source of an image in a page."""
    import matplotlib

    buffer = io.BytesIO()
    # A fixed salt and no date: the same figures give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "breastlabel"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
