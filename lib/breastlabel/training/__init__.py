"""Losses, the trainer, checkpoints with their preparation inside, and the registry of champions.

Names are imported when they are first used: listing checkpoints needs no torch, whose import takes seconds,
and a worker can say that it is starting before it has loaded it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breastlabel.training.arrays import TrainingArrays
    from breastlabel.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from breastlabel.training.losses import JointLoss
    from breastlabel.training.registry import ModelRegistry, site_folder
    from breastlabel.training.settings import TrainingSettings
    from breastlabel.training.spec import read_spec
    from breastlabel.training.trainer import FitResult, fit

__all__ = [
    "Checkpoint",
    "FitResult",
    "JointLoss",
    "ModelRegistry",
    "TrainingArrays",
    "TrainingSettings",
    "fit",
    "load_checkpoint",
    "read_spec",
    "save_checkpoint",
    "site_folder",
]

_MODULES = {
    "Checkpoint": "checkpoint",
    "FitResult": "trainer",
    "JointLoss": "losses",
    "ModelRegistry": "registry",
    "TrainingArrays": "arrays",
    "TrainingSettings": "settings",
    "fit": "trainer",
    "load_checkpoint": "checkpoint",
    "read_spec": "spec",
    "save_checkpoint": "checkpoint",
    "site_folder": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
