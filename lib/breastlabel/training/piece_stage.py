"""The first stage of a training from random weights: pieces of the images (`PieceStage`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breastlabel.imaging.atomic import restore_folder
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.fitting import check_output, training_origin
from breastlabel.training.pieces import pieces_of
from breastlabel.training.settings import PieceStage, TrainingSettings
from breastlabel.training.trainer import BatchAugmentation, EpochCallback, StepCallback, fit
from breastlabel.training.unlearnable import leave_out_unlearnable

__all__ = ["Begun", "begin_with_pieces"]


@dataclass(frozen=True)
class Begun:
    """How a training goes on after its first stage.

    Attributes:
        settings: of the images.
        provenance: what the checkpoint says of the stage, for `fit_checkpoint`.
        origin: what a killed training must share to go on, likewise.
    """

    settings: TrainingSettings
    provenance: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] | None = None


def begin_with_pieces(
    network: HybridNetwork,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    stage: PieceStage,
    settings: TrainingSettings,
    preparation: Any,
    output: Path,
    augmentation: BatchAugmentation | None = None,
    device: str | None = None,
    on_epoch: Sequence[EpochCallback] = (),
    on_step: Sequence[StepCallback] = (),
) -> Begun:
    """Train the network itself on pieces of the images, each a sequence of one; whole images follow.

    P3 trains a patch classifier and starts the whole-image model's branches from it (`PatchNet` and
    `load_patch_weights` are that, to the letter). Here the whole-image model is its own patch classifier:
    the branches see the same pieces and classes, and what stands behind them begins as well. It is the same
    for networks that outline, whose decoders need a lesion to begin with more than their encoders do.

    Where no piece shows a lesion (classes without outlines), there is nothing to begin with: the network and
    the settings stay as they are. A stage that was killed goes on; one that was finished is read from its
    state, with the very same weights.

    Args:
        network: trained in place.
        train, val: the prepared images; pieces of ``val`` choose the epoch, where they show a lesion.
        settings: of the whole training.
        output: the checkpoint's folder.

    Raises:
        CheckpointError: as `fit_checkpoint`.
        InvalidImageError: the images are smaller than a piece, or the network's stride does not divide it.
    """
    restore_folder(output)
    check_output(output)
    leave_out_unlearnable(network, train)
    pieces = _cut(train, stage, settings.seed)
    if pieces is None:
        return Begun(settings)
    chosen_on = None if val is None else _cut(val, stage, settings.seed)
    ours = stage.first(settings)
    origin = {"pieces": stage.config()}
    result = fit(
        network,
        pieces,
        chosen_on,
        settings=ours,
        augmentation=augmentation,
        device=device,
        state_folder=output / "state-pieces",
        origin=training_origin(None, preparation, augmentation, origin),
        on_epoch=on_epoch,
        on_step=on_step,
    )
    said = {
        "data": "pieces of the images",
        "size": [stage.size, stage.size],
        "n_train": len(pieces),
        "n_val": 0 if chosen_on is None else len(chosen_on),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 1),
        "learning_rate": ours.learning_rate,
    }
    return Begun(
        stage.rest(settings, seconds=result.seconds),
        {"stages": [said]},
        {**origin, "settings_of_pieces": ours.config()},
    )


def _cut(arrays: TrainingArrays, stage: PieceStage, seed: int) -> TrainingArrays | None:
    """None where no piece shows a lesion."""
    pieces = pieces_of(
        arrays, size=stage.size, seed=seed, each=stage.each, beside=stage.beside, offset=stage.offset
    )
    return None if (pieces.labels == LesionClass.NORMAL).all() else pieces
