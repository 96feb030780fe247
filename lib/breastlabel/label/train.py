"""Trainers: MONAI Label's face of `BackgroundJobs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from breastlabel.errors import UnknownNameError
from breastlabel.label.caller import caller
from breastlabel.label.jobs import BackgroundJobs
from breastlabel.label.options import DEVICES, Options
from breastlabel.training.presets import PRESETS
from breastlabel.training.registry import ModelRegistry

__all__ = ["Trainer"]

_PROMOTIONS = ("auto", "always", "never")
_CHAMPION, _SCRATCH = "champion", "scratch"


class Trainer(TrainTask):
    """Trains one of the project's systems on the labels of the studies folder, in a process of its own.

    It fine-tunes the champion unless asked otherwise. The split into training and validation images is the
    catalog's, fixed by patient, so MONAI Label's ``val_split`` is ignored.
    """

    def __init__(self, model: str, studies: Path, *, registry: ModelRegistry, jobs: BackgroundJobs) -> None:
        super().__init__(
            f"Fine-tune {model} on the labels saved so far; validation images are fixed by patient, "
            "and the new version serves only if it is not worse on them"
        )
        self.model = model
        self._studies = studies
        self._registry = registry
        self._jobs = jobs

    def config(self) -> dict[str, Any]:
        """Options, with their defaults as the viewers want them: lists are choices, the first is chosen."""
        presets = sorted(PRESETS.get(self.model, {}), key=lambda name: name != "default")
        return {
            "max_epochs": 20,
            "from": [_CHAMPION, _SCRATCH, *self._registry.versions(self.model)],
            "preset": presets,
            "device": list(DEVICES),
            "promote": list(_PROMOTIONS),
        }

    def stats(self) -> dict[str, Any]:
        """Figures of the newest training; see `BackgroundJobs.stats`."""
        return self._jobs.stats(self.model)

    def job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """``job.json`` for a client's request.

        Raises:
            UnknownNameError: an unknown preset, device, promotion rule or version.
            BadRequestError: an option of the wrong type.
        """
        options = Options(request)
        job: dict[str, Any] = {
            "model": self.model,
            "studies": str(self._studies),
            "epochs": options.integer("max_epochs", 20, low=1, high=10_000),
            "preset": options.choice("preset", list(PRESETS.get(self.model, {})), "default"),
            "promote": options.choice("promote", _PROMOTIONS, "auto"),
            "seed": options.integer("seed", 0, low=0, high=2**31 - 1),
        }
        if (device := options.device()) is not None:
            job["device"] = device
        job |= self._start(options)
        # For the audit: who had the served model trained.
        job["client_id"] = caller().client_id(request)
        if (author := caller().author(request)) is not None:
            job["author"] = author
        return job

    def _start(self, options: Options) -> dict[str, Any]:
        """``from``: a checkpoint folder, null for random weights, absent for the champion if there is one."""
        versions = self._registry.versions(self.model)
        pretrained = options.flag("pretrained", True)
        asked = options.text("from", _CHAMPION if pretrained else _SCRATCH)
        if asked == _CHAMPION:
            return {}
        if asked == _SCRATCH:
            return {"from": None}
        if asked not in versions:
            raise UnknownNameError("from", asked, [_CHAMPION, _SCRATCH, *versions])
        return {"from": str(versions[asked])}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train and wait for the end.

        This is how the stock platform calls a trainer, in a child process of its own. That child only
        waits: the worker goes on where the child is killed.
        """
        task = self._jobs.start(self.job(request), enqueue=True)
        return self._jobs.wait(task["id"])
