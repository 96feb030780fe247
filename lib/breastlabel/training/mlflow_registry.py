"""The site's checkpoints, champions and decisions, mirrored into MLflow's model registry.

The site's own files are the truth, which serving reads: ``champion.json`` is replaced atomically, and needs
no MLflow. The mirror follows it and catches up with whatever it missed, so that it may fail, or not run at
all, without any harm. Champions are chosen by ``breastlabel models promote``; an alias that somebody moves in
MLflow's own pages changes nothing that is served, and is put back by the next `sync`.

``python -m breastlabel.training.mlflow_registry --studies DIR`` brings the mirror up to date.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.jobs.lock import alone
from breastlabel.jobs.resources import yield_to_requests
from breastlabel.training.mlflow_store import is_local, is_tracking, open_client
from breastlabel.training.registry import ModelRegistry
from breastlabel.training.spec import read_spec

__all__ = ["ALIAS", "champions_in_mlflow", "main", "registered_name", "sync", "sync_later"]

logger = logging.getLogger(__name__)

ALIAS = "champion"
_VERSION = "breastlabel.version"
_EXPERIMENT = "breastlabel-checkpoints"
#: MLflow refuses longer values of tags.
_LONGEST = 4000


def registered_name(model: str) -> str:
    """The registered model's name in MLflow, e.g. ``breastlabel-ultrasound``.

    Sites that share a tracking server tell theirs apart by ``BREASTLABEL_SITE``, e.g.
    ``breastlabel-north-ultrasound``.
    """
    return "-".join(part for part in ("breastlabel", os.environ.get("BREASTLABEL_SITE"), model) if part)


def sync(registry: ModelRegistry) -> None:
    """Make MLflow's registry show what the site's does; what it shows already is left alone.

    Each version of a model becomes a model version with its figures and the decision on it as tags; the alias
    ``champion`` names the one that serves. A tracking server is given the checkpoint's files, a local store
    their place.

    Raises:
        CheckpointError: the registry is that of the shipped champions alone.
        Exception: MLflow's, SQLAlchemy's and its HTTP client's own kinds.
    """
    folder = registry.site_root().parent
    # So that no version is entered twice.
    with alone(folder / "mlflow.lock"):
        client = open_client(folder)
        for model in registry.models():
            _sync_model(client, registry, model)


def sync_later(studies: Path) -> None:
    """Let a process of its own do `sync`, after a change of the registry; nobody waits for it.

    MLflow takes seconds to start, and a tracking server may be out of reach.
    """
    if not is_tracking():
        return
    folder = ModelRegistry(studies).site_root().parent
    try:
        with open(folder / "mlflow.log", "ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", __name__, "--studies", str(studies)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        logger.warning("MLflow's registry was not brought up to date (%s)", error.strerror)


def champions_in_mlflow(registry: ModelRegistry) -> dict[str, str | None]:
    """Which version of each model MLflow calls the champion; None where it knows none of ours.

    Raises:
        Exception: as `sync`.
    """
    client = open_client(registry.site_root().parent)
    return {model: _champion(client, registered_name(model)) for model in registry.models()}


def _sync_model(client: Any, registry: ModelRegistry, model: str) -> None:
    name = registered_name(model)
    if _registered(client, name) is None:
        client.create_registered_model(name, description=f"Checkpoints of breastlabel's system '{model}'")
    known = _versions(client, name)
    decisions = _decisions(registry, model)
    for version, folder in registry.versions(model).items():
        tags = _tags(read_spec(folder)) | decisions.get(version, {})
        if version not in known:
            source, run_id = _source(client, folder, version)
            known[version] = client.create_model_version(
                name, source=source, run_id=run_id, tags=tags, await_creation_for=0
            )
        for key, value in tags.items():
            if known[version].tags.get(key) != value:
                client.set_model_version_tag(name, known[version].version, key, value)
    champion = registry.champion_version(model)
    if champion == _champion(client, name):
        return
    if champion in known:
        client.set_registered_model_alias(name, ALIAS, known[champion].version)
    else:
        client.delete_registered_model_alias(name, ALIAS)


def _registered(client: Any, name: str) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _versions(client: Any, name: str) -> dict[str, Any]:
    """Our version to MLflow's model version."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found |= {v.tags[_VERSION]: v for v in page if _VERSION in v.tags}
        token = page.token
        if not token:
            return found


def _champion(client: Any, name: str) -> str | None:
    registered = _registered(client, name)
    if registered is None or ALIAS not in registered.aliases:
        return None
    return client.get_model_version(name, registered.aliases[ALIAS]).tags.get(_VERSION)  # type: ignore[no-any-return]


def _source(client: Any, folder: Path, version: str) -> tuple[str, str | None]:
    """Where the model version's files are, and the run that holds them on a server."""
    if is_local():
        return str(folder), None
    # A server takes no path of another machine, only what one of its runs holds.
    experiment = client.get_experiment_by_name(_EXPERIMENT)
    known = client.create_experiment(_EXPERIMENT) if experiment is None else experiment.experiment_id
    run_id = client.create_run(known, run_name=version).info.run_id
    client.log_artifacts(run_id, str(folder), "checkpoint")
    client.set_terminated(run_id)
    return f"runs:/{run_id}/checkpoint", run_id


def _tags(spec: Mapping[str, Any]) -> dict[str, str]:
    training, validation = spec.get("training") or {}, (spec.get("metrics") or {}).get("val") or {}
    tags = {_VERSION: spec["version"], "breastlabel.code_version": spec.get("code_version")}
    tags |= {name: training.get(name) for name in ("data_fingerprint", "start_from")}
    tags |= {f"val.{k}": v for k, v in validation.items() if isinstance(v, int | float)}
    return {key: str(value) for key, value in tags.items() if value is not None}


def _decisions(registry: ModelRegistry, model: str) -> dict[str, dict[str, str]]:
    """What was decided on each challenger the last time, as tags."""
    path = registry.site_root() / model / "decisions.jsonl"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        decision = dict(json.loads(line))
        challenger = str(decision.pop("challenger"))
        found[challenger] = {
            f"decision.{key}": str(value)[:_LONGEST]
            for key, value in decision.items()
            if isinstance(value, str | int | float)
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    """Bring the mirror up to date; the exit code is 1 where MLflow could not be reached or written."""
    parser = argparse.ArgumentParser(description="Mirror a site's checkpoints into MLflow's model registry.")
    parser.add_argument("--studies", type=Path, required=True, help="the site's studies folder")
    studies = parser.parse_args(arguments).studies
    yield_to_requests()
    try:
        sync(ModelRegistry(studies))
    except Exception as error:
        # What the next sync catches up with. The error's text may hold the server's address and password.
        print(f"MLflow's registry was not brought up to date ({type(error).__name__})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
