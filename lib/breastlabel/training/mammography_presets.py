"""Ways to train the four systems for mammography.

``paper`` is what the paper prints, with the network's own defaults; where a paper prints no number, ours
stands and the comment says so. ``default`` is sized for a few CPU cores. ``tiny`` is for tests.

Where one image shows a lesion as a few pixels of thousands, training begins with pieces (`PieceStage`). P4
joins two whole views before anything else, of which a piece has none.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from breastlabel.training.preset import TINY, TINY_FINE_TUNING, Preset
from breastlabel.training.settings import FineTuning, PieceStage, TrainingSettings

__all__ = ["CAD", "FUSIONVIEW", "MAMMOGRAPHY", "SCREENING"]

#: Small steps over breasts of which any subset of views may be at hand.
_BREASTS = TrainingSettings(
    epochs=60,
    batch_size=8,
    max_images=16,
    drop_views=0.2,
    learning_rate=1e-3,
    schedule="cosine",
    monitor="score",
    patience=None,
    weight_decay=1e-2,
    average_decay=0.998,
    label_smoothing=0.05,
    # Lesions cover half a percent of a mammogram, and many have none.
    pooled_dice=True,
)
_FINE_TUNING = FineTuning(
    settings=dataclasses.replace(
        _BREASTS, epochs=6, learning_rate=5e-4, average_decay=0.0, keep_statistics=True
    ),
    augmentation="mammography",
)
# The score of a network that does not outline is its AUC, which leaps; its loss does not.
_CLASSES = dataclasses.replace(_BREASTS, monitor="loss")
_FINE_TUNING_CLASSES = dataclasses.replace(
    _FINE_TUNING, settings=dataclasses.replace(_FINE_TUNING.settings, monitor="loss")
)
_PIECES = PieceStage()
_TINY = dataclasses.replace(TINY, batch_size=4, learning_rate=5e-3)
_TINY_FINE_TUNING = FineTuning(
    settings=dataclasses.replace(TINY_FINE_TUNING, batch_size=4), augmentation=None
)


def _prepared(rows: int, cols: int, **options: Any) -> dict[str, Any]:
    return {"name": "mammography", "size": (rows, cols), **options}


def _tiny(network: dict[str, Any]) -> Preset:
    """Seconds on one core."""
    return Preset(
        network=network,
        preparation=_prepared(64, 48),
        settings=_TINY,
        augmentation=None,
        fine_tuning=_TINY_FINE_TUNING,
    )


MAMMOGRAPHY: dict[str, Preset] = {
    # P0 as printed: Adam 1e-3, early stopping on the validation loss, dropout 0.5, LSTM of 256 units. It
    # prints neither size, batch nor epochs.
    "paper": Preset(
        network={"name": "mammography"},
        preparation=_prepared(256, 256, fit="stretch", histogram_equalization=True),
        settings=TrainingSettings(
            epochs=50,
            batch_size=8,
            max_images=16,
            learning_rate=1e-3,
            weight_decay=0.0,
            balance_classes=False,
        ),
        augmentation="mammography",
        fine_tuning=_FINE_TUNING,
    ),
    "default": Preset(
        network={
            "name": "mammography",
            "widths": (16, 32, 64, 96, 128),
            "convs_per_block": 2,
            "residual": True,
            "stem_stride": 2,
            "pool_last": False,
            "decoder_widths": (64, 48, 32, 16),
            "measures": True,
            "norm_steps": True,
            "recurrence": "gru",
            "recurrent_hidden": 64,
            "shortcut": True,
            "comparisons": True,
            "dropout": 0.3,
        },
        preparation=_prepared(384, 288),
        settings=_BREASTS,
        augmentation="mammography",
        inference={"tta": ["vertical_flip"]},
        fine_tuning=_FINE_TUNING,
        pieces=_PIECES,
    ),
    "tiny": _tiny(
        {
            "name": "mammography",
            "widths": (8, 12, 16),
            "recurrent_hidden": 8,
            "shortcut": True,
            "dropout": 0.1,
            "mask_dropout": 0.0,
        }
    ),
}

CAD: dict[str, Preset] = {
    # P2 prints ResNet-50 and fine-tuning, but neither optimiser, rate, batch, epochs nor size. It starts from
    # random weights here: a preset that needs a download would not run in a hospital.
    "paper": Preset(
        network={"name": "cad"},
        preparation=_prepared(224, 224, fit="stretch"),
        settings=TrainingSettings(epochs=50, batch_size=16, learning_rate=1e-4),
        augmentation="mammography",
        fine_tuning=_FINE_TUNING_CLASSES,
    ),
    "default": Preset(
        network={
            "name": "cad",
            "backbone": "blocks",
            "widths": (16, 32, 64, 96, 128),
            "convolutions": (96,),
            "dense": 64,
            "clinical": 16,
            "dropout": 0.3,
        },
        preparation=_prepared(256, 192),
        settings=dataclasses.replace(_CLASSES, batch_size=16, drop_views=0.0),
        augmentation="mammography",
        fine_tuning=_FINE_TUNING_CLASSES,
        pieces=_PIECES,
    ),
    "tiny": _tiny(
        {
            "name": "cad",
            "backbone": "blocks",
            "widths": (8, 12, 16),
            "convolutions": (16,),
            "dense": 16,
            "clinical": 8,
            "dropout": 0.1,
        }
    ),
}

SCREENING: dict[str, Preset] = {
    # P3: 512 pixels (and 256), ResNet-50 beside a CNN, an RNN over the images; batch, rate and epochs are not
    # printed. A breast may have eight images, which is what goes through the network at a time. It starts
    # from a patch classifier: `begin_with_pieces` says what stands for it here. Shen et al. (Scientific
    # Reports 2019) cut 224 pixels of 1152, which is 96 of 512.
    "paper": Preset(
        network={"name": "screening", "checkpointing": True, "invasive": True, "boxes": True},
        preparation=_prepared(512, 512, fit="stretch"),
        settings=TrainingSettings(epochs=50, batch_size=8, max_images=8, drop_views=0.1, learning_rate=1e-4),
        augmentation="mammography",
        fine_tuning=_FINE_TUNING_CLASSES,
        pieces=_PIECES,
    ),
    "default": Preset(
        network={
            "name": "screening",
            "cnn": (16, 32, 64, 96, 128),
            "backbone": None,
            "recurrence": "gru",
            "hidden": 64,
            "features": 64,
            "dropout": 0.3,
            "invasive": True,
        },
        preparation=_prepared(256, 192),
        settings=_CLASSES,
        augmentation="mammography",
        fine_tuning=_FINE_TUNING_CLASSES,
        pieces=_PIECES,
    ),
    "tiny": _tiny(
        {
            "name": "screening",
            "cnn": (8, 12, 16),
            "backbone": None,
            "hidden": 8,
            "features": 8,
            "dropout": 0.1,
        }
    ),
}

FUSIONVIEW: dict[str, Preset] = {
    # P4, "Implementation Details": Adam 1e-4 (0.9, 0.999), cosine, batch 32, 30 to 50 epochs, early stopping,
    # 256 x 256 after joining. The crop to the breast is its second pipeline.
    "paper": Preset(
        network={"name": "fusionview"},
        preparation=_prepared(256, 128, fit="stretch", percentiles=(0.0, 100.0)),
        settings=TrainingSettings(
            epochs=50,
            batch_size=32,
            learning_rate=1e-4,
            schedule="cosine",
            weight_decay=0.0,
            balance_classes=False,
        ),
        augmentation=None,
        fine_tuning=_FINE_TUNING_CLASSES,
    ),
    "default": Preset(
        network={
            "name": "fusionview",
            "backbone": "cnn",
            "joined": (256, 256),
            "widths": (16, 32, 64, 96, 128),
            "dense": 64,
            "dropout": 0.3,
        },
        preparation=_prepared(256, 192),
        settings=_CLASSES,
        augmentation="mammography",
        fine_tuning=_FINE_TUNING_CLASSES,
    ),
    "tiny": _tiny(
        {
            "name": "fusionview",
            "backbone": "cnn",
            "joined": (64, 64),
            "widths": (8, 12, 16),
            "dense": 16,
            "dropout": 0.1,
        }
    ),
}
