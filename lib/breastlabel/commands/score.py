"""``breastlabel score``: which waiting images would teach the model most."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from breastlabel.commands.console import note, print_json, print_table, progress
from breastlabel.commands.options import Device, Json, Model, Studies, check_device, require_studies

__all__ = ["score"]

#: Rows of the table.
_SHOWN = 10


def score(
    model: Model,
    studies: Studies,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", metavar="A,B", help="Of the scoring methods; else all.", show_default=False
        ),
    ] = None,
    passes: Annotated[
        int, typer.Option("--passes", metavar="N", min=1, max=200, help="Stochastic passes.")
    ] = 10,
    batch: Annotated[
        int,
        typer.Option("--batch", metavar="N", min=1, help="How many images a method of sets chooses."),
    ] = 100,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Read at most so many images.", show_default=False),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Score the images that wait for a label with the model that serves, for the strategies of the server.

    Methods are those of active learning (entropy, bald, badge, core-set, clasp, ...) and revisit, which
    scores labelled images by how far the model is from their label. Each image is read once. What was done
    is kept when it is interrupted, and later scorings read only new images. Prints the images to label next.

    Example: breastlabel score ultrasound --studies ~/studies

    Example: breastlabel score ultrasound --studies ~/studies --methods bald,badge --passes 20
    """
    require_studies(studies)
    asked = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    from breastlabel.activelearning.method_scores import check_methods

    check_methods(asked)
    check_device(device)
    from breastlabel.activelearning.scoring import score_studies
    from breastlabel.catalog import Catalog
    from breastlabel.training.presets import preset

    preset(model)
    started = time.monotonic()
    try:
        with progress(quiet=as_json) as report:
            result = score_studies(
                studies,
                model,
                methods=asked,
                passes=passes,
                device=device,
                batch=batch,
                limit=limit,
                progress=report,
            )
    except KeyboardInterrupt:
        note(
            f"interrupted after {time.monotonic() - started:.0f} s; what was read is kept; run again to go on"
        )
        raise
    with Catalog.open(studies) as catalog:
        best = {
            method: catalog.scores.best(method, model, result.model_version, n=_SHOWN)
            for method in result.methods
        }
    if as_json:
        print_json({**asdict(result), "best": {method: _rows(scores) for method, scores in best.items()}})
        return
    for method, scores in best.items():
        if scores:
            print_table((method.upper(), "SCORE"), [(s.image_id, f"{s.value:.4g}") for s in scores])
            print()
    print(
        f"{result.n_scored} images, {result.n_read} of them read in {result.seconds:.1f} s "
        f"({result.images_per_second:.1f} images/s), {len(result.methods)} methods, "
        f"{result.n_unreadable} unreadable, {result.n_skipped} skipped; {model} {result.model_version}"
    )


def _rows(scores: Any) -> list[dict[str, Any]]:
    return [{"image_id": score.image_id, "score": score.value} for score in scores]
