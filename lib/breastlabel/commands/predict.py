"""``breastlabel predict``: outlines, classes and findings of image files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breastlabel.commands.console import note, print_json, progress
from breastlabel.commands.options import (
    Checkpoints,
    Device,
    Json,
    Model,
    NewOutput,
    check_device,
    checkpoint_folder,
)
from breastlabel.errors import BreastLabelError, InvalidImageError, NotFoundError

if TYPE_CHECKING:
    from breastlabel.imaging import BreastImage, Modality
    from breastlabel.inference import EnsemblePredictor, Prediction, Predictor

__all__ = ["Answered", "predict", "predict_files", "read_file", "write_answer"]

#: An image's file, and its answer or why it has none.
Answered = tuple[Path, dict[str, Any] | BreastLabelError]


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.", show_default=False),
    ],
    output: NewOutput,
    checkpoint: Checkpoints = None,
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

    Each image gets a folder DIR/NAME with mask.nrrd, overlay.png and result.json; a DICOM image gets seg.dcm
    (Segmentation) and sr.dcm (Structured Report) as well. Mammograms that are given together are put together
    by their headers: the views of a breast in one exam are judged as one, with the older exams among them as
    priors; result.json says which images were looked at. An image that cannot be analysed is named on stderr,
    the others go on, and the exit code is 1.

    Example: breastlabel predict ultrasound scan.png --output out

    Example: breastlabel predict mammography exam-2022/ exam-2024/ --output out --explain --uncertainty 10
    """
    named: list[Path | None] = [*checkpoint] if checkpoint else [None]
    folders = [checkpoint_folder(model, folder, studies) for folder in named]
    files = list_images(images)
    _require_different_stems(files)
    predictor = _predictor(folders, device=check_device(device), superpixels=superpixels)
    output.mkdir(parents=True, exist_ok=True)
    asked = {"uncertainty_passes": uncertainty, "explain": explain}
    if predictor.takes_sequences:
        from breastlabel.commands.predict_breasts import predict_breasts

        answers = predict_breasts(predictor, files, output, model=model, **asked)
    else:
        answers = predict_files(predictor, files, output, model=model, **asked)
    results = []
    failed = 0
    with progress(quiet=as_json or len(files) == 1) as report:
        for done, (file, answer) in enumerate(answers, start=1):
            if isinstance(answer, BreastLabelError):
                failed += 1
                # Reader errors name the file already.
                name = "" if file.name in str(answer) else f"{file.name}: "
                note(f"{name}{answer}")
            else:
                results.append(answer)
                if not as_json:
                    print(_line(answer), flush=True)
            report("predicting", done, len(files))
    if as_json:
        print_json(results)
    if failed:
        if len(files) > 1:
            note(f"{failed} of {len(files)} images could not be analysed; the others are in {output}")
        raise typer.Exit(1)


def predict_files(
    predictor: Predictor | EnsemblePredictor, files: Sequence[Path], output: Path, *, model: str, **asked: Any
) -> Iterator[Answered]:
    """Predict each file by itself.

    Args:
        asked: arguments of `Predictor.predict`.
    """
    from breastlabel.findings import result_json
    from breastlabel.training.presets import MODALITIES

    for file in files:
        try:
            image = read_file(file, MODALITIES[model])
            prediction = predictor.predict(image, **asked)
            result = {"file": file.name, "model": model, **result_json(prediction, image)}
            write_answer(output, file, image, prediction, result)
        except BreastLabelError as error:
            yield file, error
        else:
            yield file, result


def read_file(file: Path, modality: Modality) -> BreastImage:
    """Read an image; what the system says against it concerns this file only.

    Raises:
        BreastLabelError: it cannot be read.
    """
    from breastlabel import imaging

    try:
        return imaging.read_image(file, modality=modality)
    except OSError as error:
        # Of this file only; what the system says while the answer is written concerns them all.
        raise InvalidImageError(
            f"a readable file is required; {file.name} is not: {error.strerror or type(error).__name__}; "
            "check its permissions"
        ) from error


def write_answer(
    output: Path,
    file: Path,
    image: BreastImage,
    prediction: Prediction,
    result: dict[str, Any],
    *,
    others: Sequence[Path] = (),
) -> None:
    """Write the folder of one image's answer, which appears whole or not at all.

    Args:
        others: further images that were looked at with it.
    """
    from breastlabel.commands.predict_dicom import write_dicom_results
    from breastlabel.imaging import image_stem, write_mask
    from breastlabel.inference import render_overlay, write_overlay

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
        text = json.dumps(result, indent=2, allow_nan=False)
        (partial / "result.json").write_text(text + "\n", encoding="utf-8")
        write_dicom_results(partial, file, prediction.mask, result, others=others)
        _replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def _predictor(
    folders: Sequence[Path], *, device: str | None, superpixels: bool | None
) -> Predictor | EnsemblePredictor:
    from breastlabel.inference import EnsemblePredictor, Predictor

    if len(folders) == 1:
        return Predictor(folders[0], device=device, superpixels=superpixels)
    return EnsemblePredictor(folders, device=device, superpixels=superpixels)


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
    others = len(result["sequence"]) - 1 if isinstance(result["sequence"], list) else 0
    company = f"; judged with {others} other image{'s' if others != 1 else ''}" if others else ""
    return f"{result['file']}: {result['predicted_class']} ({probability:.2f}){found}{company}"
