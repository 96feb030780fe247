"""From prepared arrays to a checkpoint: fit, calibrate, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.errors import CheckpointError
from breastlabel.imaging.atomic import restore_folder
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.calibrate import Kept, choose_on_validation
from breastlabel.training.checkpoint import save_checkpoint
from breastlabel.training.curves import write_curves
from breastlabel.training.precision import best_device
from breastlabel.training.rehearsal import Batches
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.trainer import BatchAugmentation, EpochCallback, FitResult, StepCallback, fit
from breastlabel.training.unlearnable import invasive_counts, leave_out_unlearnable

__all__ = ["Finish", "check_output", "fit_checkpoint", "training_origin"]

#: Called when the fit is done, with its result: returns the network to keep and what to record of it.
Finish = Callable[[FitResult], tuple[HybridNetwork, Mapping[str, Any]]]

_OURS = {
    "model.json", "model.safetensors", "MODEL_CARD.md", "history.json", "curves.png", "state",
    "state-pieces", "folds", "held-out.json", "learned-labels.json",
}  # fmt: skip


def fit_checkpoint(
    network: HybridNetwork,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    model: str,
    preparation: Any,
    settings: TrainingSettings,
    output: Path,
    batches: Batches | None = None,
    augmentation: BatchAugmentation | None = None,
    inference: Mapping[str, Any] | None = None,
    device: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    finish: Finish | None = None,
    kept: Kept | None = None,
    judged_on: TrainingArrays | None = None,
    add_files: Callable[[Path], None] | None = None,
    on_epoch: Sequence[EpochCallback] = (),
    on_step: Sequence[StepCallback] = (),
) -> Path:
    """Fit a network on prepared arrays, calibrate it on ``val`` and write the checkpoint.

    A new network that tells invasive cancers is trained without that answer where ``train`` cannot teach it.

    Args:
        batches: which images each step learns from; by default all, shuffled.
        provenance: what else the checkpoint should say of its training (sources). ``start_from``, the version
            whose weights the network has, is also part of what a killed training must share to go on.
        origin: what else it must share, as JSON values.
        finish: what is still done to the fitted network before it is calibrated.
        kept: temperature and thresholds to keep instead of choosing them on ``val``.
        judged_on: what they are chosen on instead of ``val``: whole images, where ``val`` is pieces of them.
        add_files: writes what else belongs to the checkpoint into its unfinished folder.

    Raises:
        CheckpointError: ``output`` holds something else, or a training from another start, preparation,
            augmentation, network, settings or labels that was cut off.
    """
    restore_folder(output)
    check_output(output)
    start = (provenance or {}).get("start_from")
    if start is None:
        leave_out_unlearnable(network, train)
    result = fit(
        network,
        train,
        val,
        settings=settings,
        batches=batches,
        augmentation=augmentation,
        device=device,
        state_folder=output / "state",
        origin=training_origin(start, preparation, augmentation, origin),
        on_epoch=on_epoch,
        on_step=on_step,
    )
    fitted, recorded = (result.network, {}) if finish is None else finish(result)
    judged = val if judged_on is None else judged_on
    choice = choose_on_validation(fitted, judged, views=(inference or {}).get("tta", ()), kept=kept)
    training = {
        **dict(provenance or {}),
        **recorded,
        "n_train": len(train),
        "n_train_images": len(train.images),
        "n_train_groups": len(np.unique(train.groups)),
        **({"n_cancers_known": invasive_counts(train)} if fitted.answers_invasive else {}),
        "n_val": 0 if judged is None else len(judged),
        "data_fingerprint": train.fingerprint(),
        "device": str(best_device(device)),
        "seconds": round(result.seconds, 1),
        "epochs_done": len(result.history),
        "best_epoch": result.best_epoch,
        "settings": settings.config(),
        "augmentation": None if augmentation is None else augmentation.config(),
    }

    def files(folder: Path) -> None:
        write_curves(result.history, folder, best_epoch=result.best_epoch)
        if add_files is not None:
            add_files(folder)

    save_checkpoint(
        output,
        fitted,
        model=model,
        preparation=preparation,
        calibration=choice.calibration,
        thresholds=choice.thresholds,
        operating_point=choice.operating_point,
        inference=inference,
        training=training,
        metrics={"val": choice.figures} if choice.figures else {},
        add_files=files,
    )
    return output


def training_origin(
    start: str | None,
    preparation: Any,
    augmentation: BatchAugmentation | None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """What a killed training must share to go on and the trainer does not see, as a string."""
    origin = {
        "start_from": start,
        "preparation": preparation.config(),
        "augmentation": None if augmentation is None else augmentation.config(),
        **(more or {}),
    }
    return json.dumps(origin, sort_keys=True)


def check_output(output: Path) -> None:
    """Refuse to replace a folder that is not ours.

    Raises:
        CheckpointError: it holds something that no training wrote.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise CheckpointError("--output must be a folder; got a file; give another name")
    foreign = sorted(
        p.name for p in output.iterdir() if p.name not in _OURS and not p.name.endswith(".partial")
    )
    if foreign:
        raise CheckpointError(
            f"--output must be a new or empty folder, or a checkpoint to replace; it holds '{foreign[0]}'; "
            "give another name"
        )
