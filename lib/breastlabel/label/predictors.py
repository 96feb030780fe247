"""Which checkpoint serves: the champion of the moment, loaded once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from breastlabel.inference import Predictor
from breastlabel.inference.preparing import Prepare, prepare_now
from breastlabel.training.checkpoint import Checkpoint, load_checkpoint, read_spec
from breastlabel.training.registry import ModelRegistry

__all__ = ["ChampionPredictors"]


@dataclass
class _Loaded:
    version: str
    checkpoint: Checkpoint
    predictors: dict[bool | None, Predictor]


class ChampionPredictors:
    """Predictors of the champions of a studies folder.

    The alias is read at every request, so that a promotion or a rollback, by this server's training or by
    the command line, serves from the next request on. One checkpoint for each model and device is held.

    Args:
        registry: of the folder.
        prepare: see `Predictor`.
    """

    def __init__(self, registry: ModelRegistry, *, prepare: Prepare = prepare_now) -> None:
        self.registry = registry
        self._prepare = prepare
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, str | None], _Loaded] = {}

    def version(self, model: str) -> str | None:
        """The champion's version; None where there is none."""
        return self.registry.champion_version(model)

    def folder(self, model: str) -> Path:
        """The champion's folder.

        Raises:
            CheckpointError: nothing is trained yet; the message says how to.
        """
        return self.registry.champion(model)

    def predictor(
        self, model: str, *, device: str | None = None, superpixels: bool | None = None
    ) -> Predictor:
        """The champion, ready to predict.

        Args:
            device: ``cpu`` or ``cuda``; None chooses.
            superpixels: None does as the checkpoint says.

        Raises:
            CheckpointError: nothing is trained yet, or the champion's files are damaged.
        """
        folder = self.folder(model)
        version = str(read_spec(folder)["version"])
        with self._lock:
            held = self._loaded.get((model, device))
            if held is None or held.version != version or held.checkpoint.path != folder:
                held = _Loaded(version, load_checkpoint(folder), {})
                self._loaded[model, device] = held
            if superpixels not in held.predictors:
                held.predictors[superpixels] = Predictor(
                    held.checkpoint, device=device, superpixels=superpixels, prepare=self._prepare
                )
            return held.predictors[superpixels]
