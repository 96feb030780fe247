"""``breastlabel report``: one page about one case, to file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from breastlabel.commands.console import print_json
from breastlabel.commands.options import (
    Checkpoint,
    Device,
    Json,
    Model,
    NewOutput,
    check_device,
    checkpoint_folder,
)
from breastlabel.errors import UnknownNameError

__all__ = ["report"]

_REPORTED = ("cad",)


# The vocabulary's own would load numpy for --help.
class Side(StrEnum):
    """As `Laterality`."""

    R = "R"
    L = "L"


class View(StrEnum):
    """The standard ones of `ViewPosition`."""

    CC = "CC"
    MLO = "MLO"


class Composition(StrEnum):
    """As `Density`."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


def report(
    model: Model,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A mammogram.", show_default=False)],
    output: NewOutput,
    code: Annotated[
        str | None,
        typer.Option(
            "--code", help="Patient code; nothing is taken from the file's header.", show_default=False
        ),
    ] = None,
    age: Annotated[float | None, typer.Option("--age", help="In years.", show_default=False)] = None,
    side: Annotated[Side | None, typer.Option("--side", show_default=False)] = None,
    view: Annotated[View | None, typer.Option("--view", show_default=False)] = None,
    density: Annotated[
        Composition | None, typer.Option("--density", help="ACR composition.", show_default=False)
    ] = None,
    checkpoint: Checkpoint = None,
    studies: Annotated[
        Path | None,
        typer.Option("--studies", metavar="DIR", help="Use this folder's champion.", show_default=False),
    ] = None,
    uncertainty: Annotated[
        int, typer.Option("--uncertainty", metavar="N", min=0, max=100, help="Stochastic passes; 0 for none.")
    ] = 20,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write the report of one case: case.html, case.pdf and its four pictures, case.png.

    Age, side, view and density are inputs of the model; what is not given is taken from the image where it
    knows them. The patient code is on the report only if it is given here.

    Example: breastlabel report cad view.dcm --code C-017 --age 54 --density B --output out/case
    """
    if model not in _REPORTED:
        raise UnknownNameError("model with a report for a case", model, _REPORTED)
    from breastlabel.evaluation.case_report import CaseForm, case_facts, write_case_report
    from breastlabel.imaging.vocabulary import Density, Laterality, Modality, ViewPosition

    form = CaseForm(
        code=code,
        age=age,
        side=None if side is None else Laterality(side.value),
        view=None if view is None else ViewPosition(view.value),
        density=None if density is None else Density(density.value),
    )
    folder = checkpoint_folder(model, checkpoint, studies)
    from breastlabel.commands.predict import read_file
    from breastlabel.datasets.sequences import context_of
    from breastlabel.inference import Predictor

    predictor = Predictor(folder, device=check_device(device))
    shown = read_file(image, Modality.MG)
    filled, notes = form.filled(shown)
    shown = replace(
        shown, age=filled.age, laterality=filled.side, view_position=filled.view, density=filled.density
    )
    answer = predictor.predict_sequence(
        [shown], contexts=context_of(shown)[None], uncertainty_passes=uncertainty, explain=True
    )
    prediction = answer.images[0]
    facts = case_facts(
        shown,
        prediction,
        filled,
        checkpoint=predictor.checkpoint.spec,
        fingerprint=hashlib.sha256(image.read_bytes()).hexdigest()[:16],
        notes=notes,
        written=date.today(),
    )
    files = write_case_report(output, facts, shown, prediction)
    if as_json:
        print_json({**facts, "files": [str(file) for file in files]})
        return
    name = prediction.predicted.label
    print(f"{name} ({prediction.class_probabilities[name]:.2f})")
    print("\n".join(str(file) for file in files))
