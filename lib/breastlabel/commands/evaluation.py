"""``breastlabel evaluate`` and ``ablate``: how good a model is, and which of its parts make it so."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from breastlabel.commands.console import print_json, print_table, progress
from breastlabel.commands.options import (
    Checkpoint,
    Device,
    Json,
    Model,
    NewOutput,
    Size,
    Studies,
    check_device,
    checkpoint_folder,
    require_studies,
)
from breastlabel.errors import StudiesError, UnknownNameError

__all__ = ["ablate", "evaluate"]


class Split(StrEnum):
    """Which of a studies folder's images."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    ALL = "all"


def evaluate(
    model: Model,
    studies: Studies,
    output: NewOutput,
    split: Annotated[Split, typer.Option("--split", help="Which images.")] = Split.TEST,
    checkpoint: Checkpoint = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain/--no-explain", help="Ask where the heat map's peak lies; takes as long again."
        ),
    ] = True,
    checks: Annotated[
        bool,
        typer.Option(
            "--checks",
            help="Mammography: also ask whether the views of a breast contradict each other, and whether the "
            "score falls without the outlined lesion.",
        ),
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure a model on labelled images: metrics.json and report.html, with confidence intervals.

    Example: breastlabel evaluate ultrasound --studies ~/studies --split test --output out/evaluation
    """
    require_studies(studies)
    folder = checkpoint_folder(model, checkpoint, studies)
    check_device(device)
    from breastlabel.evaluation import evaluate as run

    with progress(quiet=as_json) as report:
        metrics = run(
            folder,
            studies,
            output=output,
            model=model,
            split=split.value,
            explain=explain,
            checks=checks,
            device=device,
            progress=report,
        )
    if as_json:
        print_json(metrics)
        return
    print(f"{metrics['n_images']} images of {metrics['n_patients']} patients, split {split.value}")
    print_table(("MEASURE", "MEAN", "95 % INTERVAL"), list(_rows(metrics)))
    print(f"{output / 'metrics.json'}\n{output / 'report.html'}")


def ablate(
    model: Model,
    studies: Annotated[
        list[Path],
        typer.Option(
            "--studies",
            metavar="DIR",
            help="Studies folder. Of mammograms there may be several, which are pooled; fusionview also "
            "learns from one and is measured on another.",
            show_default=False,
        ),
    ],
    output: NewOutput,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="How many seeds a row.")] = 3,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="At most this many; else the preset's.", show_default=False),
    ] = None,
    size: Size = None,
    preset: Annotated[
        str, typer.Option("--preset", help="What all rows have in common: paper, default or tiny.")
    ] = "paper",
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.01, help="At most, for each training.", show_default=False),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a system part by part, as its paper compares, and measure: ablation.json and report.html.

    Each row on several seeds, on the train split; measured on the test split. An ablation that was stopped
    goes on when started again with the same --output.

    Example: breastlabel ablate ultrasound --studies ~/studies --seeds 3 --output out/ablation

    Example: breastlabel ablate fusionview --studies ~/vindr --studies ~/cmmd --output out/ablation
    """
    for folder in studies:
        require_studies(folder)
    check_device(device)
    options: dict[str, Any] = {
        "seeds": range(seeds),
        "epochs": epochs,
        "size": size,
        "preset": preset,
        "device": device,
        "time_limit": None if minutes is None else minutes * 60,
    }
    with progress(quiet=as_json) as report:
        if model == "ultrasound":
            result = _ablate_ultrasound(studies, output, **options, progress=report)
        else:
            from breastlabel.evaluation import ablations

            if model not in ablations.SYSTEMS:
                raise UnknownNameError("model", model, ("ultrasound", *ablations.SYSTEMS))
            result = ablations.ablate(model, studies, output, **options, progress=report)
    if as_json:
        print_json(result)
        return
    titles, rows = _ablated(result)
    print_table(("ROW", *titles), rows)
    print(f"{output / 'ablation.json'}\n{output / 'report.html'}")


def _ablate_ultrasound(studies: list[Path], output: Path, **options: Any) -> dict[str, Any]:
    from breastlabel.evaluation.ablation import ablate_ultrasound

    if len(studies) != 1:
        raise StudiesError(
            f"one studies folder is required for ultrasound; got {len(studies)}; import them into one"
        )
    return ablate_ultrasound(studies[0], output, **options)


def _ablated(result: dict[str, Any]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Titles of the first measures, and the rows with them."""
    if "measures" not in result:
        names = ["accuracy", "dice", "auc_malignant"]
        rows = [(row["name"], *(_interval(row[name]) for name in names)) for row in result["rows"]]
        return [name.upper() for name in names], rows
    there = {measure["name"] for measure in result["measures"]}
    # As many as a terminal holds; the report has them all.
    names = [str(name) for name in ("accuracy", "f1", "auc_malignant", "dice") if name in there][:3]
    rows = [(row["name"], *(_interval(row["values"][name]) for name in names)) for row in result["rows"]]
    return [name.upper() for name in names], rows


def _rows(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for part in ("segmentation", "classification", "consistency", "evidence"):
        for name, value in metrics.get(part, {}).items():
            if isinstance(value, dict) and value.keys() == {"mean", "ci95"}:
                low, high = value["ci95"]
                unit = f" ({metrics[part]['distance_unit']})" if name in ("hd95", "assd") else ""
                rows.append((name + unit, f"{value['mean']:.3f}", f"{low:.3f} to {high:.3f}"))
            elif value is None:
                rows.append((name, "-", "undefined here"))
    return rows


def _interval(value: dict[str, Any] | None) -> str:
    if value is None:
        return "undefined here"
    low, high = value["ci95"]
    return f"{value['mean']:.3f} ({low:.3f} to {high:.3f})"
