"""``breastlabel train``: a checkpoint from labelled images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from breastlabel.commands.console import note, print_json, progress
from breastlabel.commands.options import (
    Device,
    Json,
    Model,
    NewOutput,
    Studies,
    check_device,
    require_studies,
)

__all__ = ["train"]


def train(
    model: Model,
    studies: Studies,
    output: NewOutput,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="default, paper (as printed) or tiny (to try); of ultrasound also small (one core).",
        ),
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="At most this many.", show_default=False)
    ] = None,
    device: Device = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="CHECKPOINT", help="Fine-tune this checkpoint.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")] = 0,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", min=0.01, help="Stop after this time with what there is.", show_default=False
        ),
    ] = None,
    tracking: Annotated[
        Path | None,
        typer.Option(
            "--tracking", metavar="DIR", help="Record the run with MLflow here.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train on the labelled images of a studies folder.

    Learns from the train split and chooses on the val split; the test split is not touched. Systems for
    mammography learn from breasts: the views of one exam and their priors are one case; with
    --preset default, all but fusionview learn from pieces of the images first. A run that was stopped goes on
    when started again with the same --output. To serve the result:
    breastlabel models promote MODEL DIR --studies DIR.

    Example: breastlabel train ultrasound --studies ~/studies --output out/checkpoint

    Example: breastlabel train mammography --studies ~/studies --epochs 20 --output out/mammography

    Example: breastlabel train ultrasound --studies ~/studies --from out/checkpoint --output out/tuned
    """
    require_studies(studies)
    check_device(device)
    from breastlabel.training.run import train as run
    from breastlabel.training.spec import read_spec

    with progress(quiet=as_json) as report:

        def on_epoch(figures: dict[str, float]) -> None:
            # Where the bars are not shown, one line an epoch is.
            if not as_json and not sys.stderr.isatty():
                said = ", ".join(f"{name} {figures[name]:.4g}" for name in _SHOWN if name in figures)
                note(f"on pieces: {said}" if figures.get("on_pieces") else said)

        run(
            model,
            studies,
            output=output,
            preset=preset,
            epochs=epochs,
            device=device,
            start_from=start_from,
            seed=seed,
            time_limit=None if minutes is None else minutes * 60,
            tracking=tracking,
            progress=report,
            on_epoch=(on_epoch,),
        )
    spec = read_spec(output)
    if as_json:
        print_json({"output": str(output), "version": spec["version"], "metrics": spec.get("metrics", {})})
        return
    figures = ", ".join(f"{k} {v:.3f}" for k, v in spec.get("metrics", {}).get("val", {}).items())
    print(f"{model} {spec['version']} in {output}" + (f"; validation: {figures}" if figures else ""))


_SHOWN = ("epoch", "train_loss", "val_loss", "val_dice", "val_auc", "seconds")
