"""``breastlabel predict``: outlines, classes and findings of image files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breastlabel.commands.console import note, print_json, progress
from breastlabel.commands.options import (
    Checkpoint,
    Device,
    Json,
    Model,
    NewOutput,
    check_device,
    checkpoint_folder,
)
from breastlabel.errors import BreastLabelError, InvalidImageError, NotFoundError

if TYPE_CHECKING:
    from breastlabel.inference import Predictor

__all__ = ["predict", "predict_file"]


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.", show_default=False),
    ],
    output: NewOutput,
    checkpoint: Checkpoint = None,
    studies: Annotated[
        Path | None,
        typer.Option("--studies", metavar="DIR", help="Use this folder's champion.", show_default=False),
    ] = None,
    superpixels: Annotated[
        bool | None,
        typer.Option("--superpixels/--no-superpixels", help="Refine the mask; else as the checkpoint says."),
    ] = None,
    uncertainty: Annotated[
        int, typer.Option("--uncertainty", metavar="N", min=0, max=100, help="Stochastic passes; 0 for none.")
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Also write heatmap.png (Grad-CAM).")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Outline and classify image files.

    Each image gets a folder DIR/NAME with mask.nrrd, overlay.png and result.json. An image that cannot be
    analysed is named on stderr, the others go on, and the exit code is 1.

    Example: breastlabel predict ultrasound scan.png --output out

    Example: breastlabel predict ultrasound scans/ --output out --explain --uncertainty 10
    """
    folder = checkpoint_folder(model, checkpoint, studies)
    files = list_images(images)
    _require_different_stems(files)
    from breastlabel.inference import Predictor

    predictor = Predictor(folder, device=check_device(device), superpixels=superpixels)
    output.mkdir(parents=True, exist_ok=True)
    results = []
    failed = 0
    with progress(quiet=as_json or len(files) == 1) as report:
        for done, file in enumerate(files, start=1):
            try:
                result = predict_file(
                    predictor, file, output, uncertainty=uncertainty, explain=explain, model=model
                )
            except BreastLabelError as error:
                failed += 1
                # Reader errors name the file already.
                name = "" if file.name in str(error) else f"{file.name}: "
                note(f"{name}{error}")
            else:
                results.append(result)
                if not as_json:
                    print(_line(result), flush=True)
            report("predicting", done, len(files))
    if as_json:
        print_json(results)
    if failed:
        if len(files) > 1:
            note(f"{failed} of {len(files)} images could not be analysed; the others are in {output}")
        raise typer.Exit(1)


def predict_file(
    predictor: Predictor, file: Path, output: Path, *, model: str, uncertainty: int = 0, explain: bool = False
) -> dict[str, Any]:
    """Predict one file and write its folder, which appears whole or not at all.

    Returns:
        What ``result.json`` holds.
    """
    from breastlabel.findings import result_json
    from breastlabel.imaging import image_stem, read_image, write_mask
    from breastlabel.inference import render_overlay, write_overlay
    from breastlabel.training.presets import MODALITIES

    try:
        image = read_image(file, modality=MODALITIES[model])
    except OSError as error:
        # Of this file only; what the system says while the answer is written concerns them all.
        raise InvalidImageError(
            f"a readable file is required; {file.name} is not: {error.strerror or type(error).__name__}; "
            "check its permissions"
        ) from error
    prediction = predictor.predict(image, uncertainty_passes=uncertainty, explain=explain)
    folder = output / image_stem(file)
    partial = output / f".{folder.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        write_mask(partial / "mask.nrrd", prediction.mask, geometry=image.geometry)
        write_overlay(partial / "overlay.png", render_overlay(image.pixels, prediction.mask))
        if prediction.heat_map is not None:
            picture = render_overlay(image.pixels, prediction.mask, heat=prediction.heat_map)
            write_overlay(partial / "heatmap.png", picture)
        result: dict[str, Any] = {"file": file.name, "model": model, **result_json(prediction, image)}
        text = json.dumps(result, indent=2, allow_nan=False)
        (partial / "result.json").write_text(text + "\n", encoding="utf-8")
        _replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def list_images(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the image files of the folders named, in order."""
    from breastlabel.imaging import IMAGE_SUFFIXES

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(
                p
                for p in path.iterdir()
                if p.is_file() and not p.name.startswith(".") and p.name.lower().endswith(IMAGE_SUFFIXES)
            )
            if not found:
                raise NotFoundError(f"images are required; the folder '{path}' holds none; name another")
            files += found
        else:
            files.append(path)
    return files


def _require_different_stems(files: Sequence[Path]) -> None:
    from breastlabel.imaging import image_stem

    seen: dict[str, Path] = {}
    for file in files:
        first = seen.setdefault(image_stem(file), file)
        if first is not file:
            raise typer.BadParameter(
                f"images must differ in their names, which name the answers; got '{first}' and '{file}'; "
                "predict them into different folders"
            )


def _replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in place of an earlier answer; a foreign folder is not touched."""
    if folder.exists():
        if not (folder / "result.json").is_file():
            raise BreastLabelError(
                f"'{folder}' must be absent or an earlier answer; it is something else; "
                "choose another --output"
            )
        old = new.with_name(f"{new.name}.old")
        os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, folder)


def _line(result: dict[str, Any]) -> str:
    findings = result["findings"]
    sizes = ", ".join(f"{f['long_axis']} x {f['short_axis']} {f['length_unit']}" for f in findings)
    probability = result["class_probabilities"][result["predicted_class"]]
    found = f"; {len(findings)} finding{'s' if len(findings) != 1 else ''}: {sizes}" if findings else ""
    return f"{result['file']}: {result['predicted_class']} ({probability:.2f}){found}"
