"""Options and arguments that several commands share, and their help."""

from __future__ import annotations

import contextlib
import getpass
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from breastlabel.errors import BreastLabelError, MissingDependencyError, NotFoundError

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "Device",
    "Json",
    "Model",
    "NewOutput",
    "Size",
    "Studies",
    "check_device",
    "checkpoint_folder",
    "help_of",
    "require_extra",
    "require_studies",
    "system_user",
]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Which system: ultrasound, mammography, cad, screening or fusionview.",
        show_default=False,
    ),
]
Studies = Annotated[
    Path,
    typer.Option(
        "--studies",
        metavar="DIR",
        help="Studies folder: images, labels/final and the catalog in .breastlabel.",
        show_default=False,
    ),
]
NewOutput = Annotated[
    Path,
    typer.Option("--output", metavar="DIR", help="Folder to write; made if needed.", show_default=False),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Checkpoint folder; else the champion (of --studies where given, else the shipped one).",
        show_default=False,
    ),
]

Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Checkpoint folder; else the champion (of --studies where given, else the shipped one). "
        "Given several times, they answer together, and their disagreement is the uncertainty.",
        show_default=False,
    ),
]


def _device(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        raise typer.BadParameter(f"it must be cpu, cuda or cuda:N; got '{value}'")
    return value


Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="cpu|cuda",
        help="Where to compute; else the GPU if there is one.",
        callback=_device,
        show_default=False,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size", metavar="N", min=32, help="Rows and columns of the prepared images.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


def require_studies(studies: Path) -> Path:
    """The folder, if it is one.

    Raises:
        NotFoundError: it is not there.
    """
    if not studies.is_dir():
        raise NotFoundError(
            f"--studies must be an existing folder; got '{studies}'; make one with 'breastlabel import' or "
            "'breastlabel phantom'"
        )
    return studies


def require_extra(module: str, extra: str, *, what: str) -> None:
    """Say which extra to install where an optional package is absent.

    Raises:
        MissingDependencyError: the package cannot be found.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingDependencyError(
            f"{what} needs the package {module}, which is not installed; "
            f"run: pip install 'breastlabel[{extra}]'"
        )


def check_device(device: str | None) -> str | None:
    """The device, if this machine has it.

    Raises:
        BreastLabelError: a GPU was asked for and there is none that torch can use.
    """
    if device is not None and device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count()
        number = int(device.partition(":")[2] or 0)
        if number >= count:
            raise BreastLabelError(
                f"--device {device} needs a GPU that torch can use; it finds {count}; "
                "use --device cpu, or see 'breastlabel doctor'"
            )
    return device


def checkpoint_folder(model: str, checkpoint: Path | None, studies: Path | None) -> Path:
    """The checkpoint that was named, else the champion.

    Raises:
        UnknownNameError: no such model.
        NotFoundError: the folder that was named is not there.
        CheckpointError: there is no champion.
    """
    from breastlabel.training.presets import preset
    from breastlabel.training.registry import ModelRegistry

    preset(model)
    if checkpoint is None:
        return ModelRegistry(studies).champion(model)
    if not checkpoint.is_dir():
        raise NotFoundError(
            f"--checkpoint must be a folder with model.json and model.safetensors; got '{checkpoint}'; "
            "leave it out to use the champion"
        )
    return checkpoint


def system_user() -> str | None:
    """Who runs the command, for the audit; None in a container where the user has no name."""
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return None


def help_of(command: Callable[..., None]) -> str:
    """A command's docstring as help: a line break within a paragraph is only the source's."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
