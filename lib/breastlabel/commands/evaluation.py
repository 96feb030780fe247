"""``breastlabel evaluate`` and ``ablate``: how good a model is, and which of its parts make it so."""

from __future__ import annotations

from enum import StrEnum
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
from breastlabel.errors import UnknownNameError

__all__ = ["ablate", "evaluate"]


_ABLATED = ("ultrasound",)


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
    studies: Studies,
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
    """Train the system part by part, as the paper's Table I, and compare: ablation.json and report.html.

    Six rows, each on several seeds, on the train split; measured on the test split. An ablation that was
    stopped goes on when started again with the same --output.

    Example: breastlabel ablate ultrasound --studies ~/studies --seeds 3 --output out/ablation
    """
    require_studies(studies)
    if model not in _ABLATED:
        raise UnknownNameError("model", model, _ABLATED)
    check_device(device)
    from breastlabel.evaluation.ablation import ablate_ultrasound

    with progress(quiet=as_json) as report:
        result = ablate_ultrasound(
            studies,
            output,
            seeds=range(seeds),
            epochs=epochs,
            size=size,
            preset=preset,
            device=device,
            time_limit=None if minutes is None else minutes * 60,
            progress=report,
        )
    if as_json:
        print_json(result)
        return
    names = ("accuracy", "dice", "auc_malignant")
    print_table(
        ("ROW", *(name.upper() for name in names)),
        [(row["name"], *(_interval(row[name]) for name in names)) for row in result["rows"]],
    )
    print(f"{output / 'ablation.json'}\n{output / 'report.html'}")


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
