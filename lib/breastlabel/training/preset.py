"""What a preset is, and what several of them share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breastlabel.training.settings import FineTuning, TrainingSettings

__all__ = ["FINE_TUNING", "TINY", "TINY_FINE_TUNING", "Preset"]

# docs/concepts/fine-tuning.md has the figures behind these numbers.
FINE_TUNING = FineTuning(
    settings=TrainingSettings(
        epochs=6,
        batch_size=8,
        learning_rate=5e-4,
        schedule="cosine",
        monitor="score",
        patience=None,
        weight_decay=1e-2,
        label_smoothing=0.05,
        keep_statistics=True,
    ),
    augmentation="paper",
)
TINY = TrainingSettings(
    epochs=20,
    batch_size=8,
    learning_rate=1e-2,
    schedule="cosine",
    precision="fp32",
    monitor="score",
    patience=None,
)
TINY_FINE_TUNING = dataclasses.replace(TINY, epochs=10, learning_rate=3e-3)


@dataclass(frozen=True)
class Preset:
    """One way to train a system.

    Attributes:
        network: arguments of `create_network`, ``name`` among them.
        preparation: configuration of the preparation, ``name`` among them.
        settings: of the trainer.
        augmentation: of training from random weights: a name in `AUGMENTATIONS`, or None.
        inference: defaults of inference written into the checkpoint.
        fine_tuning: the recipe when training starts from a checkpoint.
    """

    network: Mapping[str, Any]
    preparation: Mapping[str, Any]
    settings: TrainingSettings
    augmentation: str | None
    inference: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: FineTuning = FINE_TUNING
