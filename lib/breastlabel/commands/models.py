"""``breastlabel models``: which checkpoints there are, and which one is served."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from breastlabel.commands.console import note, print_json, print_table
from breastlabel.commands.options import Json, Model, Studies, help_of, require_studies, system_user
from breastlabel.errors import BreastLabelError, CheckpointError, MissingDependencyError, NotFoundError

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Checkpoints: list them, show one, choose the champion, take one out.",
)

MaybeStudies = Annotated[
    Path | None,
    typer.Option(
        "--studies",
        metavar="DIR",
        help="Site's studies folder; else the shipped champions.",
        show_default=False,
    ),
]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", help="Which one; else the champion.", show_default=False),
]


def list_(
    studies: MaybeStudies = None,
    mlflow: Annotated[
        bool,
        typer.Option("--mlflow", help="Say also which one MLflow calls the champion; takes seconds."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the checkpoints; bare, the shipped champions.

    Example: breastlabel models list --studies ~/studies
    """
    from breastlabel.training.registry import ModelRegistry
    from breastlabel.training.spec import read_spec

    registry = _registry(studies)
    others = _champions_in_mlflow(registry) if mlflow else {}
    entries: list[dict[str, Any]] = []
    for model in registry.models():
        champion = registry.champion_version(model)
        for version, folder in registry.versions(model).items():
            entries.append(
                {
                    "model": model,
                    "version": version,
                    "champion": version == champion,
                    "shipped": folder == ModelRegistry(None).versions(model).get(version),
                    "folder": str(folder),
                    "metrics": read_spec(folder).get("metrics", {}),
                    **({"mlflow_champion": version == others[model]} if mlflow else {}),
                }
            )
    if as_json:
        print_json(entries)
    elif entries:
        print_table(
            ("MODEL", "VERSION", "CHAMPION", "FROM", *(("IN MLFLOW",) if mlflow else ())),
            [
                (
                    e["model"],
                    e["version"],
                    "*" if e["champion"] else "",
                    "package" if e["shipped"] else "site",
                    *(("champion" if e["mlflow_champion"] else "",) if mlflow else ()),
                )
                for e in entries
            ],
        )
    else:
        print("no checkpoints; train one with 'breastlabel train ultrasound --studies DIR --output DIR'")


def show(model: Model, version: Version = None, studies: MaybeStudies = None, as_json: Json = False) -> None:
    """Show a checkpoint: its model card, or with --json all that model.json says.

    Example: breastlabel models show ultrasound
    """
    from breastlabel.training.spec import read_spec

    folder = _folder(model, version, studies)
    if as_json:
        print_json({"folder": str(folder), **read_spec(folder)})
        return
    card = folder / "MODEL_CARD.md"
    print(f"{folder}\n")
    print(card.read_text(encoding="utf-8") if card.is_file() else "(no model card)")


def promote(
    model: Model,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION|DIR", help="A version listed, or a checkpoint folder.", show_default=False
        ),
    ],
    studies: Studies,
    force: Annotated[
        bool, typer.Option("--force", help="Promote whatever the validation figures say.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a checkpoint the champion, if it is not worse on the validation split.

    A folder is copied into the registry first. The server uses the new champion from its next request on.

    Example: breastlabel models promote ultrasound out/checkpoint --studies ~/studies
    """
    from dataclasses import asdict

    from breastlabel.training.promotion import challenge

    registry = _registry(require_studies(studies))
    known = registry.versions(model)
    folder = known.get(version, Path(version))
    if not folder.is_dir():
        raise NotFoundError(
            f"a version of {model} or a checkpoint folder is required; got '{version}'; "
            f"known versions: {', '.join(known) or 'none'}"
        )
    decision = challenge(registry, model, folder, studies, always=force)
    _follow(
        studies,
        "model.promote" if decision.promoted else "model.refuse",
        model=model,
        version=decision.challenger,
        champion=decision.champion,
        reason=decision.reason,
    )
    if as_json:
        print_json(asdict(decision))
    elif decision.promoted:
        print(f"{model} {decision.challenger} is the champion: {decision.reason}")
    if not decision.promoted:
        raise CheckpointError(
            f"{model} {decision.challenger} was not promoted: {decision.reason}; "
            "--force promotes it all the same"
        )


def rollback(model: Model, studies: Studies) -> None:
    """Go back to the champion before this one.

    Example: breastlabel models rollback ultrasound --studies ~/studies
    """
    registry = _registry(require_studies(studies))
    before = registry.champion_version(model)
    version = registry.rollback(model)
    _follow(studies, "model.rollback", model=model, version=version, champion=before)
    print(f"{model} {version} is the champion again")


def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="New folder to write.", show_default=False)
    ],
    version: Version = None,
    studies: MaybeStudies = None,
) -> None:
    """Copy a checkpoint out, to keep or to use elsewhere.

    Example: breastlabel models export ultrasound --output ultrasound-checkpoint
    """
    folder = _folder(model, version, studies)
    if output.exists():
        raise CheckpointError(f"--output must not exist yet; got '{output}'; give another name")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        shutil.copytree(folder, partial, ignore=shutil.ignore_patterns("state", "*.partial"))
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(output)


_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "show": show,
    "promote": promote,
    "rollback": rollback,
    "export": export,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=help_of(_command))(_command)


def _registry(studies: Path | None) -> Any:
    from breastlabel.training.registry import ModelRegistry

    return ModelRegistry(None if studies is None else require_studies(studies))


def _champions_in_mlflow(registry: Any) -> dict[str, str | None]:
    from breastlabel.training.mlflow_registry import champions_in_mlflow
    from breastlabel.training.mlflow_store import is_tracking

    if not is_tracking():
        raise MissingDependencyError(
            "for --mlflow, MLflow must be installed and BREASTLABEL_TRACKING must not be off; "
            "install breastlabel[mlflow], or leave the option out"
        )
    try:
        found = champions_in_mlflow(registry)
    except BreastLabelError:
        raise
    except Exception as error:
        # MLflow's own errors, SQLAlchemy's and those of its HTTP client; their texts may hold a password.
        raise NotFoundError(
            f"MLflow's registry is required for --mlflow; it did not answer ({type(error).__name__}); "
            "check MLFLOW_TRACKING_URI, or leave the option out"
        ) from error
    for model, version in found.items():
        if version != registry.champion_version(model):
            note(
                f"{model}: MLflow's champion is {version or 'none'}; what serves is chosen with "
                "'breastlabel models promote', which MLflow's registry then follows"
            )
    return found


def _follow(studies: Path, action: str, **details: Any) -> None:
    """Let the audit and MLflow's registry follow what was done to the champion."""
    from breastlabel.training.acts import record_act
    from breastlabel.training.mlflow_registry import sync_later

    record_act(studies, action, details, author=system_user(), client_id="breastlabel models")
    sync_later(studies)


def _folder(model: str, version: str | None, studies: Path | None) -> Path:
    from breastlabel.training.presets import preset

    preset(model)
    registry = _registry(studies)
    if version is None:
        champion: Path = registry.champion(model)
        return champion
    folder: Path | None = registry.versions(model).get(version)
    if folder is None:
        known = ", ".join(registry.versions(model)) or "none"
        raise NotFoundError(f"a version of {model} is required; got '{version}'; known are {known}")
    return folder
