"""P2's report for a case: the form, four pictures and the class, as one page to file, HTML and PDF."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from breastlabel.errors import BreastLabelError, MissingDependencyError
from breastlabel.evaluation.case_pictures import CasePictures, case_pictures
from breastlabel.evaluation.report import RESEARCH_USE, render
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.image import BreastImage
from breastlabel.imaging.vocabulary import Density, Laterality, ViewPosition
from breastlabel.inference.prediction import Prediction

__all__ = ["CaseForm", "case_facts", "write_case_report"]

_LONGEST_CODE = 64


@dataclass(frozen=True, kw_only=True)
class CaseForm:
    """What the user fills in; a field left empty is taken from the image where that knows it.

    Attributes:
        code: names the case; only what is typed here, never an identifier of the file's header.
        age: in years.
    """

    code: str | None = None
    age: float | None = None
    side: Laterality | None = None
    view: ViewPosition | None = None
    density: Density | None = None

    def __post_init__(self) -> None:
        code = self.code
        if code is not None and (not code.isprintable() or not 0 < len(code.strip()) <= _LONGEST_CODE):
            raise BreastLabelError(
                f"a code must be 1 to {_LONGEST_CODE} printable characters; got {len(code)}; "
                "choose a shorter one, without line breaks"
            )
        if self.age is not None and not 0 < self.age < 130:
            raise BreastLabelError(f"an age in years, above 0 and below 130, is required; got {self.age:g}")

    def filled(self, image: BreastImage) -> tuple[CaseForm, tuple[str, ...]]:
        """The form with what the image knows, and in which fields the two disagree: what is typed holds."""
        known: dict[str, Any] = {
            "age": image.age,
            "side": image.laterality,
            "view": image.view_position,
            "density": image.density,
        }
        typed = {name: getattr(self, name) for name in known}
        notes = tuple(
            f"The {name} that was typed, {_text(typed[name])}, is not the image’s, {_text(value)}."
            for name, value in known.items()
            if typed[name] is not None and value is not None and typed[name] != value
        )
        chosen = {name: known[name] if value is None else value for name, value in typed.items()}
        return CaseForm(code=self.code, **chosen), notes


def case_facts(
    image: BreastImage,
    prediction: Prediction,
    form: CaseForm,
    *,
    checkpoint: Mapping[str, Any],
    fingerprint: str,
    notes: tuple[str, ...] = (),
    written: date | None = None,
) -> dict[str, Any]:
    """What the page says, as JSON values: ``form``, ``image``, ``answer``, ``model``, ``notes``.

    Args:
        image: as it was analysed.
        form: filled.
        checkpoint: its ``model.json``.
        fingerprint: tells the image's file from others, in the place of its name, which may be a patient's.
        written: when the report is; not on it if None.
    """
    point = checkpoint.get("operating_point")
    return {
        "form": {
            "Patient code": form.code or "not given",
            "Age": "unknown" if form.age is None else f"{form.age:g} years",
            "Side": _text(form.side),
            "View": _text(form.view),
            "Density": _text(form.density),
        },
        "image": {
            "Size": f"{image.shape[0]} × {image.shape[1]} pixels",
            "Checksum of the file": fingerprint,
            **({} if written is None else {"Report of": written.isoformat()}),
        },
        "answer": {
            "predicted_class": prediction.predicted.label,
            "class_probabilities": {k: round(float(v), 6) for k, v in prediction.class_probabilities.items()},
            "uncertainty": None
            if prediction.uncertainty is None
            else {k: round(float(v), 6) for k, v in prediction.uncertainty.items()},
            "above_operating_point": prediction.above_operating_point,
        },
        "model": {
            "version": prediction.checkpoint_version,
            "n_train": checkpoint.get("training", {}).get("n_train"),
            "operating_point": None if point is None else dict(point),
            "validation": dict(checkpoint.get("metrics", {}).get("val", {})),
        },
        "notes": list(notes),
        "notice": RESEARCH_USE,
    }


def write_case_report(
    output: Path, facts: Mapping[str, Any], image: BreastImage, prediction: Prediction
) -> list[Path]:
    """Write ``case.html``, ``case.pdf`` and ``case.png`` (the four pictures); returns their paths.

    Args:
        facts: of `case_facts`.

    Raises:
        InvalidImageError: no breast is found in the image.
        MissingDependencyError: matplotlib is not installed.
    """
    pictures = case_pictures(image.pixels, prediction)
    panels = _titled(pictures, facts)
    png = _saved(_panels_figure(panels), "png")
    html = render(
        "case.html.j2",
        facts=facts,
        lines=_lines(facts),
        explained=_explained(pictures),
        picture="data:image/png;base64," + base64.b64encode(png).decode(),
    )
    output.mkdir(parents=True, exist_ok=True)
    files = {
        "case.png": png,
        "case.pdf": _saved(_page_figure(panels, facts, _explained(pictures)), "pdf"),
        "case.html": html.encode(),
    }
    for name, content in files.items():
        write_bytes_atomically(output / name, content)
    return [output / name for name in files]


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "value", value))


def _titled(pictures: CasePictures, facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    answer = facts["answer"]
    name = answer["predicted_class"]
    n = pictures.n_regions
    return [
        ("Original", pictures.original),
        ("Stands out (threshold)", pictures.thresholded),
        (f"Grown regions: {n if n else 'none'}", pictures.segmented),
        (f"Class: {name}, probability {answer['class_probabilities'][name]:.2f}", pictures.classified),
    ]


def _explained(pictures: CasePictures) -> str:
    heat = (
        " The colours of the fourth picture say where the network looked (Grad-CAM)." if pictures.heat else ""
    )
    return (
        "The second and the third picture come from thresholding and region growing, which know nothing of "
        "the network: a region there is bright, not therefore a lesion, and a lesion may be missed. The "
        f"class is the network’s, of the whole image.{heat}"
    )


def _lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, in words) of the answer and of the model."""
    answer, model = facts["answer"], facts["model"]
    lines = [("Class", answer["predicted_class"])]
    lines += [
        (f"Probability of {name}", f"{value:.3f}") for name, value in answer["class_probabilities"].items()
    ]
    spread = answer["uncertainty"]
    if spread is not None:
        lines += [
            (title, f"{spread[name]:.3f}")
            for name, title in (
                ("class_entropy", "Uncertainty, entropy (0 to 1.099)"),
                ("mutual_information", "Uncertainty of the model"),
            )
            if name in spread
        ]
        lines.append(("Passes or members asked", f"{spread.get('passes', spread.get('members', 0)):.0f}"))
    point = model["operating_point"]
    if point is None:
        lines.append(("Operating point", "the checkpoint names none"))
    else:
        reached = "reached" if answer["above_operating_point"] else "not reached"
        lines.append(
            (
                "Operating point",
                f"{reached}: malignant from {point['threshold']:.3f}, chosen for a sensitivity of "
                f"{point['sensitivity_wanted']:.2f}",
            )
        )
        specificity = "undefined" if point["specificity"] is None else f"{point['specificity']:.2f}"
        lines.append(
            (
                "It achieved on validation",
                f"sensitivity {point['sensitivity']:.2f} (n = {point['n_malignant']}), specificity "
                f"{specificity} (n = {point['n_other']})",
            )
        )
    lines.append(("Model", f"cad {model['version']}"))
    if model["n_train"]:
        lines.append(("It learned from", f"{model['n_train']} cases"))
    return lines


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib is required for the report of a case; it is not installed; pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height))


def _panels_figure(panels: list[tuple[str, Any]]) -> Any:
    rows, cols = panels[0][1].shape[:2]
    # Two by two, with a line of text above each row.
    figure = _figure(8.0, max(4.0, min(14.0, 8.0 * rows / cols + 0.8)))
    _draw(panels, figure.subplots(2, 2))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.96, wspace=0.02, hspace=0.09)
    return figure


def _page_figure(panels: list[tuple[str, Any]], facts: Mapping[str, Any], explained: str) -> Any:
    """One page of A4."""
    figure = _figure(8.27, 11.69)

    def write(x: float, y: float, text: str, size: float = 9, **style: Any) -> None:
        # What is typed is text, not a formula, whatever signs it has.
        figure.text(x, y, text, fontsize=size, va="top", parse_math=False, **style)

    write(0.07, 0.965, "Report of a case: computer-aided diagnosis (cad)", 14, weight="bold")
    _wrapped(write, 0.07, 0.94, facts["notice"], 8, color="#b3261e")
    for place, (name, value) in enumerate({**facts["form"], **facts["image"]}.items()):
        write(0.07, 0.905 - 0.016 * place, name, color="#55606e")
        write(0.22, 0.905 - 0.016 * place, value)
    for place, (name, value) in enumerate(_lines(facts)):
        write(0.45, 0.905 - 0.016 * place, name, 8, color="#55606e")
        write(0.67, 0.905 - 0.016 * place, value if len(value) < 42 else _fold(value, 42), 8)
    grid = figure.add_gridspec(2, 2, left=0.07, right=0.93, bottom=0.11, top=0.68, wspace=0.04, hspace=0.1)
    axes = [[figure.add_subplot(grid[i, j]) for j in range(2)] for i in range(2)]
    _draw(panels, axes)
    _wrapped(write, 0.07, 0.09, " ".join([explained, *facts["notes"]]), 8, color="#55606e")
    return figure


def _fold(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _wrapped(write: Any, x: float, y: float, text: str, size: float, **style: Any) -> None:
    write(x, y, _fold(text, 118), size, **style)


def _draw(panels: list[tuple[str, Any]], axes: Any) -> None:
    for place, (title, picture) in enumerate(panels):
        part = axes[place // 2][place % 2]
        part.imshow(picture)
        part.set_title(title, fontsize=10, pad=4)
        part.set_axis_off()


def _saved(figure: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    # No date: the same case gives the same file.
    metadata = {"CreationDate": None, "Creator": "breastlabel"} if kind == "pdf" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
