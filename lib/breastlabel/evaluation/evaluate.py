"""Evaluate one checkpoint on one split of a studies folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from breastlabel.errors import BreastLabelError, StudiesError, UnknownNameError
from breastlabel.evaluation.collect import collect
from breastlabel.evaluation.collect_breasts import collect_breasts
from breastlabel.evaluation.consistency import consistency_measure
from breastlabel.evaluation.evidence import evidence_measure
from breastlabel.evaluation.failures import error_kinds
from breastlabel.evaluation.labelled_breasts import BreastsOfSplit
from breastlabel.evaluation.measures import compute_metrics, explanation_measure
from breastlabel.evaluation.report import write_report
from breastlabel.evaluation.table import Case, EvaluationTable
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["SPLITS", "evaluate", "labelled_images", "write_json"]

SPLITS = ("train", "val", "test", "all")

Progress = Callable[[str, int, int], None]

# Keys that group images are for counting only; the small picture has its place in the report.
_UNWRITTEN = {"group", "patient", "picture", "match", "box_match"}


def evaluate(
    checkpoint: Path | str | Any | None,
    studies: Path,
    *,
    output: Path,
    model: str = "ultrasound",
    split: str = "test",
    explain: bool = True,
    checks: bool = False,
    progress: Progress | None = None,
    seed: int = 0,
    device: str | None = None,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``report.html`` and ``images.json`` (one entry per image) into ``output``.

    Images that the catalog excludes and images that cannot be analysed are left out; the report and
    ``images.json`` say how many.

    Args:
        checkpoint: its folder, a loaded one, or None for the studies' champion.
        split: ``train``, ``val``, ``test`` or ``all``.
        explain: whether to ask where the heat map's peak lies; nearly doubles the time.
        checks: for a model that judges breasts, also ``consistency`` (whether the views of a breast, each
            judged alone, contradict each other) and ``evidence`` (whether the score falls when what was
            outlined is masked out); takes about three times as long.
        progress: called with (what, done, of how many).
        seed: of the bootstrap.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UnknownNameError: no such split.
        StudiesError: the split has no labelled image.
        CheckpointError: there is no such checkpoint.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    from breastlabel.inference import Predictor

    predictor = Predictor(_checkpoint(checkpoint, model, studies), device=device)
    total, n_excluded = _count(studies, split, model)
    skipped: list[dict[str, str]] = []

    def on_error(image_id: str, error: BreastLabelError) -> None:
        skipped.append({"image_id": image_id, "reason": str(error)})

    def count(done: int) -> None:
        if progress is not None:
            progress(f"evaluating the {split} split", done, total)

    extra: dict[str, Any] = {}
    if predictor.takes_sequences:
        breasts = BreastsOfSplit(
            Path(studies),
            None if split == "all" else split,
            model=model,
            views=predictor.uses_views,
            priors=predictor.uses_priors,
            on_error=lambda record, error: on_error(record.image_id, error),
        )
        total = len(breasts)
        found = collect_breasts(
            predictor, breasts, explain=explain, checks=checks, progress=count, on_error=on_error
        )
        table = found.table
        if checks:
            extra["consistency"] = consistency_measure(found.consistency, seed=seed)
            extra["evidence"] = evidence_measure(found.evidence, seed=seed)
    else:
        table = collect(
            predictor,
            labelled_images(
                studies,
                split,
                model=model,
                on_error=lambda record, error: on_error(record.image_id, error),
            ),
            explain=explain and _explains(predictor),
            progress=count,
            on_error=on_error,
        )
    if not len(table):
        raise StudiesError(
            f"at least one labelled image in split '{split}' is required; got none; label images in the "
            "viewer, import a labelled dataset, or choose another with --split"
        )
    metrics = compute_metrics(
        table,
        model=model,
        checkpoint=predictor.version,
        studies=Path(studies).resolve().name,
        split=split,
        device=str(predictor.device),
        seed=seed,
    )
    metrics |= extra
    explanation = explanation_measure(table, seed=seed)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    facts = {"seed": seed, "device": str(predictor.device), "n_excluded": n_excluded, "skipped": skipped}
    listed: dict[str, Any] = {"images": _per_image(table)}
    if table.breasts is not None:
        listed["breasts"] = _per_breast(table.breasts)
    write_json(output / "images.json", {**facts, "explanation": explanation, **listed})
    write_report(
        output / "report.html",
        metrics,
        table,
        facts={
            "Kept out by the catalog": n_excluded,
            "Could not be analysed": len(skipped),
            "Seed": seed,
            "Device": str(predictor.device),
        },
        explanation=explanation,
        history=_history(predictor),
    )
    # Last, so that whoever finds it finds the rest.
    write_json(output / "metrics.json", metrics)
    return metrics


def labelled_images(
    studies: Path,
    split: str,
    *,
    model: str = "ultrasound",
    on_error: Callable[[Any, BreastLabelError], None] | None = None,
) -> Iterator[Any]:
    """Images of a split with an outline or a class, that are not excluded, in the catalog's order.

    Args:
        split: one of `SPLITS`.
        model: images of a modality that it does not analyse are left out.
        on_error: called with the record of an image that cannot be read, and why; it is left out.
    """
    from breastlabel.datasets import load_training_images
    from breastlabel.training.presets import MODALITIES

    return load_training_images(
        studies, split=None if split == "all" else split, modality=MODALITIES[model], on_error=on_error
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON that any reader takes (no NaN), whole or not at all."""
    text = json.dumps(content, indent=2, allow_nan=False)
    write_bytes_atomically(path, (text + "\n").encode())


def _checkpoint(checkpoint: Path | str | Any | None, model: str, studies: Path) -> Any:
    if checkpoint is None:
        from breastlabel.training import ModelRegistry

        return ModelRegistry(Path(studies)).champion(model)
    return checkpoint


def _explains(predictor: Any) -> bool:
    """Grad-CAM needs a convolution to look at; the linear baseline has none."""
    from breastlabel.networks import PixelLogisticRegression

    return not isinstance(getattr(predictor.checkpoint, "network", None), PixelLogisticRegression)


def _count(studies: Path, split: str, model: str) -> tuple[int, int]:
    """(images to evaluate, images excluded from this split or, as importers do it, from every split)."""
    from breastlabel.catalog import Catalog
    from breastlabel.training.presets import MODALITIES

    wanted = SPLITS[:3] if split == "all" else (split,)
    with Catalog.open(studies) as catalog:
        records = [r for r in catalog.images() if r.modality is MODALITIES[model]]
    known = [r for r in records if r.reviewed or r.label is not None]
    return (
        sum(r.split in wanted and r.excluded is None for r in known),
        sum(r.split in (None, *wanted) and r.excluded is not None for r in records),
    )


def _history(predictor: Any) -> list[dict[str, Any]] | None:
    folder = getattr(predictor.checkpoint, "path", None)
    path = None if folder is None else Path(folder) / "history.json"
    if path is None or not path.is_file():
        return None
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return history if isinstance(history, list) else None


def _per_image(table: EvaluationTable) -> list[dict[str, Any]]:
    return [
        {**_plain(case), "errors": kinds} for case, kinds in zip(table.cases, error_kinds(table), strict=True)
    ]


def _per_breast(table: EvaluationTable) -> list[dict[str, Any]]:
    kept = (
        "label", "probabilities", "predicted", "invasive", "invasive_probability",
        "age", "density", "machine", "type", "view", "dataset",
    )  # fmt: skip
    rows = [(case.breast, _plain(case)) for case in table.cases]
    return [{"breast": key, **{name: row[name] for name in kept}} for key, row in rows]


def _plain(case: Case) -> dict[str, Any]:
    values = {f.name: getattr(case, f.name) for f in fields(case) if f.name not in _UNWRITTEN}
    values = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    values["seconds"] = dict(case.seconds)
    if case.match is not None:
        values |= {"n_lesions": len(case.match.hits), "n_hit": sum(case.match.hits)}
    return values
