"""What a preset is, and what several of them share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breastlabel.training.settings import FineTuning, PieceStage, TrainingSettings

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
        pieces: what training from random weights begins with, before whole images; None for these alone.
    """

    network: Mapping[str, Any]
    preparation: Mapping[str, Any]
    settings: TrainingSettings
    augmentation: str | None
    inference: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: FineTuning = FINE_TUNING
    pieces: PieceStage | None = None

    def epochs(self, epochs: int | None = None, *, fine_tuning: bool = False) -> tuple[int, int]:
        """Over pieces, and over images: at most so many.

        Args:
            epochs: what was asked for of the images; None for the preset's own number.
            fine_tuning: whether training starts from a checkpoint, and so without pieces.
        """
        own = (self.fine_tuning if fine_tuning else self.settings).epochs
        images = own if epochs is None else epochs
        pieces = 0 if fine_tuning or self.pieces is None else self.pieces.epochs_of(images)
        return pieces, images
