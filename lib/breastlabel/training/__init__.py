"""Losses, the trainer, checkpoints with their preparation inside, and the registry of champions."""

from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.checkpoint import Checkpoint, load_checkpoint, read_spec, save_checkpoint
from breastlabel.training.losses import JointLoss
from breastlabel.training.registry import ModelRegistry, site_folder
from breastlabel.training.settings import TrainingSettings
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
