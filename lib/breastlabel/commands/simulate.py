"""``breastlabel simulate``: which active-learning strategy saves labels on a labelled set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from breastlabel.commands.console import print_json, print_table, progress
from breastlabel.commands.options import (
    Device,
    Json,
    Model,
    NewOutput,
    Size,
    Studies,
    check_device,
    require_studies,
)

__all__ = ["simulate"]


def simulate(
    model: Model,
    studies: Studies,
    output: NewOutput,
    strategies: Annotated[
        str,
        typer.Option(
            "--strategies",
            metavar="NAME,...",
            help="What to compare, with commas between; random is always replayed too.",
        ),
    ] = "random,entropy,badge,clasp",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Replays of each strategy.")] = 3,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", metavar="N", min=1, help="How often images are chosen; 8 if not given."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="N", min=1, help="Labels that a round adds.", show_default=False),
    ] = None,
    initial: Annotated[
        int | None,
        typer.Option("--initial", metavar="N", min=2, help="Labels before the first.", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=1,
            help="Length of each training, in epochs of the whole train split; else some 200 steps.",
            show_default=False,
        ),
    ] = None,
    reference_epochs: Annotated[
        int | None,
        typer.Option(
            "--reference-epochs",
            metavar="N",
            min=1,
            help="Of the longer training on all labels; else four times as many.",
            show_default=False,
        ),
    ] = None,
    size: Size = None,
    preset: Annotated[
        str, typer.Option("--preset", help="What is trained: small, tiny, default or paper.")
    ] = "small",
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            "--time-limit",
            min=0.01,
            help="Begin no training after this time; the same command goes on.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Replay labelling with hidden labels: curves.json and report.html with learning curves and labels saved.

    The labels of the train split are told image by image as a strategy asks for them; the val split chooses
    the strategy and the test split measures it. A quarter of the train split is labelled, unless --rounds,
    --batch and --initial say otherwise. A simulation that was stopped goes on when started again with the
    same --output; strategies and seeds may be added to it.

    Example: breastlabel simulate ultrasound --studies ~/studies --strategies entropy,badge --output out/sim
    """
    require_studies(studies)
    check_device(device)
    from breastlabel.activelearning.simulation import simulate as run

    with progress(quiet=as_json) as report:
        curves = run(
            model,
            studies,
            output,
            strategies=[name.strip() for name in strategies.split(",") if name.strip()],
            seeds=range(seeds),
            rounds=rounds,
            batch=batch,
            initial=initial,
            epochs=epochs,
            reference_epochs=reference_epochs,
            size=size,
            preset=preset,
            device=device,
            time_limit=None if minutes is None else minutes * 60,
            progress=report,
        )
    if as_json:
        print_json(curves)
        return
    from breastlabel.activelearning.simulation.report import findings

    print_table(("STRATEGY", "DICE", "AUC MALIGNANT", "LABELS SAVED"), list(_rows(curves)))
    for sentence in findings(curves):
        print(sentence)
    print(f"{output / 'curves.json'}\n{output / 'report.html'}")


def _rows(curves: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Areas under the curves, and labels saved at equal Dice and AUC."""
    areas, saved = curves["area_under_curve"], curves["labels_saved"]
    rows = []
    for name in curves["strategies"]:
        figures = [f"{areas[m][name]['mean']:.3f}" if areas[m] else "undefined" for m in _MEASURES]
        savings = [_saving(saved[m][name]["labels"]) for m in _MEASURES if saved[m] and name in saved[m]]
        rows.append((name, *figures, " / ".join(savings) or "-"))
    return rows


def _saving(labels: float | None) -> str:
    return "not reached" if labels is None else f"{labels:+.0f}"


_MEASURES = ("dice", "auc_malignant")
