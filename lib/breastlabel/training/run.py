"""From a studies folder to a checkpoint: prepare, fit, calibrate, write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breastlabel.errors import CheckpointError, StudiesError
from breastlabel.imaging.atomic import restore_folder
from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import Preparation, TrainingArrays
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.calibrate import choose_on_validation
from breastlabel.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from breastlabel.training.curves import write_curves
from breastlabel.training.precision import best_device
from breastlabel.training.presets import MODALITIES
from breastlabel.training.presets import preset as preset_of
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.tracking import tracked_run
from breastlabel.training.trainer import BatchAugmentation, EpochCallback, StepCallback, fit
from breastlabel.transforms import preparation_from_config

__all__ = ["fit_checkpoint", "prepare_split", "train"]

Progress = Callable[[str, int, int], None]


def train(
    model: str,
    studies: Path,
    *,
    output: Path,
    preset: str = "default",
    epochs: int | None = None,
    device: str | None = None,
    start_from: Path | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    tracking: Path | None = None,
    progress: Progress | None = None,
    on_epoch: Sequence[EpochCallback] = (),
) -> Path:
    """Train a model on the labelled images of a studies folder.

    The train split is learned from, the val split chooses the epoch, the temperature and the thresholds,
    the test split is not touched. A training that was killed goes on when it is started again with the
    same output folder.

    Args:
        model: ``ultrasound``.
        output: the checkpoint's folder: new, empty, or a checkpoint to replace.
        preset: ``default``, ``paper`` or ``tiny``.
        start_from: a checkpoint to fine-tune; its network and preparation are kept.
        time_limit: seconds.
        tracking: folder of MLflow's local store; None does not track.
        progress: called with (what, done, of how many).
        on_epoch: called with each epoch's figures.

    Returns:
        ``output``.

    Raises:
        StudiesError: the train split holds no labelled image.
        CheckpointError: ``output`` holds something else.
    """
    chosen = preset_of(model, preset)
    start: Checkpoint | None = None if start_from is None else load_checkpoint(start_from)
    if start is not None and start.model != model:
        raise CheckpointError(f"a checkpoint of {model} is required to start from; got one of {start.model}")
    preparation = start.preparation if start else preparation_from_config(dict(chosen.preparation))
    settings = chosen.fine_tuning if start else chosen.settings
    settings = dataclasses.replace(
        settings,
        seed=seed,
        epochs=settings.epochs if epochs is None else epochs,
        time_limit=time_limit,
    )
    train_arrays = prepare_split(studies, "train", preparation, model=model, progress=progress)
    if train_arrays is None:
        raise StudiesError(
            "at least one labelled image in the train split is required; got none; label images in the "
            "viewer or import a labelled dataset first"
        )
    val_arrays = prepare_split(studies, "val", preparation, model=model, progress=progress)
    torch.manual_seed(seed)
    arguments = dict(chosen.network)
    network = start.network if start else create_network(arguments.pop("name"), **arguments)

    def on_step(done: int, total: int) -> None:
        if progress is not None:
            progress("training", done, total)

    parameters = {"model": model, "preset": preset, "device": str(best_device(device)), **settings.config()}
    with tracked_run(tracking, experiment=model, name=output.name, parameters=parameters) as track:
        return fit_checkpoint(
            network,
            train_arrays,
            val_arrays,
            model=model,
            preparation=preparation,
            settings=settings,
            augmentation=create_augmentation(chosen.augmentation),
            inference=start.spec["inference"] if start else chosen.inference,
            output=output,
            device=device,
            provenance={"start_from": start.version} if start else {},
            on_epoch=(track, *on_epoch),
            on_step=(on_step,),
        )


def fit_checkpoint(
    network: HybridNetwork,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    model: str,
    preparation: Any,
    settings: TrainingSettings,
    output: Path,
    augmentation: BatchAugmentation | None = None,
    inference: Mapping[str, Any] | None = None,
    device: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    on_epoch: Sequence[EpochCallback] = (),
    on_step: Sequence[StepCallback] = (),
) -> Path:
    """Fit a network on prepared arrays, calibrate it on ``val`` and write the checkpoint.

    Args:
        provenance: what else the checkpoint should say of its training (sources). ``start_from``, the version
            whose weights the network has, is also part of what a killed training must share to go on.

    Raises:
        CheckpointError: ``output`` holds something else, or a training from another start, preparation,
            augmentation, network, settings or labels that was cut off.
    """
    restore_folder(output)
    _check_output(output)
    state = output / "state"
    origin = {
        "start_from": (provenance or {}).get("start_from"),
        "preparation": preparation.config(),
        "augmentation": None if augmentation is None else augmentation.config(),
    }
    result = fit(
        network,
        train,
        val,
        settings=settings,
        augmentation=augmentation,
        device=device,
        state_folder=state,
        origin=json.dumps(origin, sort_keys=True),
        on_epoch=on_epoch,
        on_step=on_step,
    )
    views = (inference or {}).get("tta", ())
    choice = choose_on_validation(result.network, val, views=views)
    training = {
        **dict(provenance or {}),
        "n_train": len(train),
        "n_train_groups": len(np.unique(train.groups)),
        "n_val": 0 if val is None else len(val),
        "data_fingerprint": train.fingerprint(),
        "device": str(best_device(device)),
        "seconds": round(result.seconds, 1),
        "epochs_done": len(result.history),
        "best_epoch": result.best_epoch,
        "settings": settings.config(),
        "augmentation": None if augmentation is None else augmentation.config(),
    }
    save_checkpoint(
        output,
        result.network,
        model=model,
        preparation=preparation,
        calibration=choice.calibration,
        thresholds=choice.thresholds,
        inference=inference,
        training=training,
        metrics={"val": choice.figures} if choice.figures else {},
        add_files=lambda folder: write_curves(result.history, folder, best_epoch=result.best_epoch),
    )
    return output


def prepare_split(
    studies: Path,
    split: str,
    preparation: Preparation,
    *,
    model: str = "ultrasound",
    progress: Progress | None = None,
) -> TrainingArrays | None:
    """The labelled images of a split that the model analyses, prepared; None where there are none."""
    from breastlabel.catalog import Catalog
    from breastlabel.datasets import load_training_images

    with Catalog.open(studies) as catalog:
        records = catalog.images(split=split, include_excluded=False)
    # An image of which only the class is known teaches the class.
    modality = MODALITIES[model]
    total = sum((r.reviewed or r.label is not None) and r.modality is modality for r in records)

    def count(done: int) -> None:
        if progress is not None:
            progress(f"reading the {split} split", done, total)

    images = load_training_images(studies, split=split, modality=modality)
    # The catalog may count images whose labels were removed since or cannot be read.
    first = next(images, None)
    if first is None:
        return None
    return TrainingArrays.prepare(chain((first,), images), preparation, progress=count)


def _check_output(output: Path) -> None:
    """Refuse to replace a folder that is not ours."""
    if not output.exists():
        return
    if not output.is_dir():
        raise CheckpointError("--output must be a folder; got a file; give another name")
    ours = {"model.json", "model.safetensors", "MODEL_CARD.md", "history.json", "curves.png", "state"}
    foreign = sorted(
        p.name for p in output.iterdir() if p.name not in ours and not p.name.endswith(".partial")
    )
    if foreign:
        raise CheckpointError(
            f"--output must be a new or empty folder, or a checkpoint to replace; it holds '{foreign[0]}'; "
            "give another name"
        )
