"""Ways to train P1's hybrid for ultrasound."""

from __future__ import annotations

from breastlabel.networks.presets import EFFICIENT_ULTRASOUND
from breastlabel.training.preset import TINY, TINY_FINE_TUNING, Preset
from breastlabel.training.settings import FineTuning, TrainingSettings

__all__ = ["ULTRASOUND"]

ULTRASOUND: dict[str, Preset] = {
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
