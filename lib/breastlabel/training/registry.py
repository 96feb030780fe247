"""The checkpoints of a site: versions are kept, one of them is the champion that is served."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from breastlabel import champions
from breastlabel.errors import CheckpointError, NotFoundError
from breastlabel.imaging.atomic import sync_files, write_bytes_atomically
from breastlabel.jobs.lock import alone
from breastlabel.training.spec import read_spec, set_alias

__all__ = ["ModelRegistry", "site_folder"]

_log = logging.getLogger(__name__)


def site_folder(studies: Path) -> Path:
    """Where a site keeps what it makes: ``BREASTLABEL_HOME``, else ``.breastlabel`` in its studies."""
    home = os.environ.get("BREASTLABEL_HOME")
    return Path(home) if home else Path(studies) / ".breastlabel"


class ModelRegistry:
    """Versions of each model, and which one is the champion.

    A site that has trained nothing serves the champion that ships with the package. So does one whose
    champion is gone altogether, as after an update that ships another version than the one that was chosen; a
    champion that is there and damaged is an error instead.

    Args:
        studies: the studies folder; None for the shipped champions alone.
    """

    def __init__(self, studies: Path | None) -> None:
        self.root = None if studies is None else site_folder(Path(studies)) / "checkpoints"
        self._missed: set[str] = set()

    def models(self) -> list[str]:
        """Names of the models that have a champion or a version here."""
        names = {p.name for p in champions.FOLDER.iterdir() if (p / "model.json").is_file()}
        if self.root is not None and self.root.is_dir():
            names |= {p.name for p in self.root.iterdir() if p.is_dir()}
        return sorted(names)

    def versions(self, model: str) -> dict[str, Path]:
        """Version to folder, oldest first, the shipped one among them; damaged ones are left out."""
        folders = [champions.FOLDER / model]
        if self.root is not None and (self.root / model).is_dir():
            folders += sorted(self.root.joinpath(model).iterdir())
        found = {}
        for folder in folders:
            if (folder / "model.json").is_file() and not folder.name.endswith(".partial"):
                # One that cannot be read must not keep the others from serving.
                with contextlib.suppress(CheckpointError):
                    found[str(read_spec(folder)["version"])] = folder
        return found

    def champion(self, model: str) -> Path:
        """The folder of the checkpoint that is served.

        Raises:
            CheckpointError: there is none; the message says how to train one.
        """
        alias = self._alias(model)
        shipped = champions.FOLDER / model
        has_shipped = (shipped / "model.json").is_file()
        if alias is not None and alias.is_file():
            version = str(json.loads(alias.read_text(encoding="utf-8"))["version"])
            folder = self.versions(model).get(version)
            if folder is not None:
                return folder
            if alias.with_name(version).exists() or not has_shipped:
                raise CheckpointError(
                    f"the champion of {model} must be whole; version {version} is gone or damaged; choose "
                    f"another with 'breastlabel models promote {model} VERSION --studies DIR'"
                )
            # Once: the server looks at every request.
            if version not in self._missed:
                self._missed.add(version)
                _log.warning(
                    "version %s, the champion of %s, is gone; the one that ships with the package serves; "
                    "choose with 'breastlabel models promote %s VERSION --studies DIR'",
                    version,
                    model,
                    model,
                )
        if has_shipped:
            return shipped
        raise CheckpointError(
            f"a trained checkpoint of {model} is required; there is none here; train one with "
            f"'breastlabel train {model} --studies DIR --output DIR' or from the viewer"
        )

    def add(self, model: str, checkpoint: Path) -> str:
        """Copy a checkpoint into the registry and return its version; it is not promoted by that."""
        spec = read_spec(checkpoint)
        if spec["model"] != model:
            raise CheckpointError(f"a checkpoint of {model} is required; got one of {spec['model']}")
        version = str(spec["version"])
        with self._alone(model) as folder:
            if not (folder / version).is_dir():
                partial = folder / f"{version}.{os.getpid()}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                unfinished = shutil.ignore_patterns("state", "state-pieces", "*.partial")
                shutil.copytree(checkpoint, partial, ignore=unfinished)
                # A champion's alias is synced when it is set; its weights must not come later.
                sync_files(partial)
                os.replace(partial, folder / version)
        return version

    def promote(self, model: str, version: str) -> None:
        """Make a version the champion, atomically.

        Raises:
            NotFoundError: there is no such version.
        """
        self.site_root()
        versions = self.versions(model)
        if version not in versions:
            known = ", ".join(versions) or "none"
            raise NotFoundError(f"a version of {model} is required; got '{version}'; known are {known}")
        with self._alone(model) as folder:
            previous = self.champion_version(model)
            # First: a champion whose predecessor nobody noted could not be taken back after a kill.
            # `rollback` passes over a note of a promotion that a kill prevented.
            if previous is not None and previous != version:
                history = folder / "history.jsonl"
                lines = history.read_bytes() if history.is_file() else b""
                line = json.dumps({"from": previous, "to": version}) + "\n"
                write_bytes_atomically(history, lines + line.encode())
            set_alias(folder / "champion.json", version)

    def rollback(self, model: str) -> str:
        """Go back to the champion before the present one and return its version.

        Raises:
            NotFoundError: there was none.
        """
        nothing = f"an earlier champion of {model} is required; there is none to go back to"
        if not (self.site_root() / model / "history.jsonl").is_file():
            raise NotFoundError(nothing)
        with self._alone(model) as folder:
            history = folder / "history.jsonl"
            lines = history.read_text(encoding="utf-8").splitlines()
            present = self.champion_version(model)
            while lines and json.loads(lines[-1])["from"] == present:
                lines.pop()
            if not lines:
                raise NotFoundError(nothing)
            previous = str(json.loads(lines[-1])["from"])
            if previous not in self.versions(model):
                raise NotFoundError(f"version {previous} of {model} is required; it is gone; promote another")
            set_alias(folder / "champion.json", previous)
            write_bytes_atomically(history, "".join(line + "\n" for line in lines[:-1]).encode())
            return previous

    def champion_version(self, model: str) -> str | None:
        """The champion's version, None where there is no champion."""
        try:
            return str(read_spec(self.champion(model))["version"])
        except CheckpointError:
            return None

    def has_champion(self, model: str) -> bool:
        """Whether a champion serves, or should: one that was chosen and is damaged counts.

        So nothing takes a damaged champion's place as if there had been none.
        """
        alias = self._alias(model)
        return self.champion_version(model) is not None or (alias is not None and alias.is_file())

    def site_root(self) -> Path:
        """The site's folder of checkpoints.

        Raises:
            CheckpointError: there are the shipped champions alone.
        """
        if self.root is None:
            raise CheckpointError(
                "shipped champions are read-only; a studies folder is required; name one with --studies DIR"
            )
        return self.root

    def _alias(self, model: str) -> Path | None:
        return None if self.root is None else self.root / model / "champion.json"

    @contextlib.contextmanager
    def _alone(self, model: str) -> Iterator[Path]:
        """Hold the model's folder: promotions at the same time would lose each other's notes."""
        folder = self.site_root() / model
        with alone(folder / ".lock"):
            yield folder
