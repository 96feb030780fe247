"""What is trained when nothing else is said: networks, preparations and settings under a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.vocabulary import Modality
from breastlabel.networks.presets import EFFICIENT_ULTRASOUND
from breastlabel.training.settings import FineTuning, TrainingSettings

__all__ = ["MODALITIES", "PRESETS", "Preset", "preset"]

#: What each system analyses: images of another modality are neither learned from nor judged.
MODALITIES: Mapping[str, Modality] = {"ultrasound": Modality.US}

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
        augmentation: of training from random weights: ``paper``, ``strong`` or None.
        inference: defaults of inference written into the checkpoint.
        fine_tuning: the recipe when training starts from a checkpoint.
    """

    network: Mapping[str, Any]
    preparation: Mapping[str, Any]
    settings: TrainingSettings
    augmentation: str | None
    inference: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: FineTuning = FINE_TUNING


PRESETS: dict[str, dict[str, Preset]] = {
    "ultrasound": {
        # Section III of the paper, as printed.
        "paper": Preset(
            network={"name": "ultrasound"},
            preparation={"name": "ultrasound", "size": (224, 224), "histogram_equalization": True},
            settings=TrainingSettings(),
            augmentation="paper",
            inference={"superpixels": True},
        ),
        # The shipped champion's first stage; scripts/train-champion goes on at 256 x 256.
        "default": Preset(
            network={"name": "ultrasound", **EFFICIENT_ULTRASOUND},
            # Letterboxed: taller than wide is a sign of malignancy, and stretching would blur it.
            preparation={"name": "ultrasound", "size": (192, 192), "fit": "letterbox"},
            settings=TrainingSettings(
                epochs=120,
                learning_rate=1e-3,
                schedule="cosine",
                monitor="score",
                patience=None,
                weight_decay=1e-2,
                average_decay=0.998,
                label_smoothing=0.05,
            ),
            augmentation="strong",
            inference={"superpixels": False, "tta": ["horizontal_flip"]},
        ),
        # Minutes on one core: for comparing many trainings, as a simulation does.
        "small": Preset(
            network={
                "name": "ultrasound",
                "widths": (16, 32, 64, 96),
                "residual": True,
                "stem_stride": 2,
                "pool_last": False,
                "decoder_widths": (64, 32, 16),
                "gabor": False,
                "recurrence": None,
                "texture": False,
                "mask_pooling": True,
            },
            preparation={"name": "ultrasound", "size": (64, 64), "fit": "letterbox"},
            settings=TrainingSettings(
                epochs=40,
                batch_size=8,
                learning_rate=6e-3,
                schedule="cosine",
                monitor="score",
                patience=None,
                weight_decay=1e-2,
                average_decay=0.99,
                label_smoothing=0.05,
            ),
            augmentation="paper",
        ),
        # Seconds on one core: for tests and for trying a site's set-up.
        "tiny": Preset(
            network={
                "name": "ultrasound",
                "widths": (8, 16, 32),
                "recurrent_hidden": 8,
                "texture": False,
                "mask_dropout": 0.0,
            },
            preparation={"name": "ultrasound", "size": (64, 64)},
            settings=TINY,
            augmentation=None,
            fine_tuning=FineTuning(settings=TINY_FINE_TUNING),
        ),
    }
}


def preset(model: str, name: str = "default") -> Preset:
    """The preset of a model by name.

    Raises:
        UnknownNameError: no such model or preset; the message lists the valid ones.
    """
    if model not in PRESETS:
        raise UnknownNameError("model", model, PRESETS)
    if name not in PRESETS[model]:
        raise UnknownNameError(f"preset of {model}", name, PRESETS[model])
    return PRESETS[model][name]
