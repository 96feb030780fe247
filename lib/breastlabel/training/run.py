"""From a studies folder to a checkpoint: prepare, fit, calibrate, write."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from breastlabel.errors import CheckpointError, StudiesError
from breastlabel.networks import create_network
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.checkpoint import Checkpoint, load_checkpoint
from breastlabel.training.fine_tuning import fine_tune
from breastlabel.training.fitting import fit_checkpoint
from breastlabel.training.learned_labels import label_keys, write_learned_labels
from breastlabel.training.piece_stage import Begun, begin_with_pieces
from breastlabel.training.precision import best_device
from breastlabel.training.preparing import prepare_split
from breastlabel.training.presets import preset as preset_of
from breastlabel.training.tracking import tracked_run
from breastlabel.training.trainer import EpochCallback, StepCallback
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

    A preset may have pieces of the images learned from first (`begin_with_pieces`), where training starts
    from random weights.

    Args:
        model: ``ultrasound``, ``mammography``, ``cad``, ``screening`` or ``fusionview``.
        output: the checkpoint's folder: new, empty, or a checkpoint to replace.
        preset: ``default``, ``paper`` or ``tiny``.
        epochs: over the images, at most; over pieces of them before no more than these.
        start_from: a checkpoint to fine-tune (`fine_tune`); its network and preparation are kept.
        time_limit: seconds, of both together.
        tracking: folder of MLflow's local store; None does not track.
        progress: called with (what, done, of how many).
        on_epoch: called with each epoch's figures. Epochs over pieces count too, and those over images are
            numbered on from the most that pieces may take; ``on_pieces`` is 1 in the former's figures.

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
    settings = chosen.fine_tuning.settings if start else chosen.settings
    settings = dataclasses.replace(
        settings,
        seed=seed,
        epochs=settings.epochs if epochs is None else epochs,
        time_limit=time_limit,
    )
    torch.manual_seed(seed)
    network = start.network if start else create_network(**chosen.network)
    prepare = functools.partial(
        prepare_split, studies, preparation=preparation, model=model, network=network, progress=progress
    )
    train_arrays = prepare("train")
    if train_arrays is None:
        raise StudiesError(
            "at least one labelled image in the train split is required; got none; label images in the "
            "viewer or import a labelled dataset first"
        )
    val_arrays = prepare("val")
    keys = label_keys(train_arrays, _secret(studies))
    epochs_of_pieces, _ = chosen.epochs(settings.epochs, fine_tuning=start is not None)

    parameters = {"model": model, "preset": preset, "device": str(best_device(device)), **settings.config()}
    if epochs_of_pieces and chosen.pieces is not None:
        parameters |= {f"pieces_{name}": value for name, value in chosen.pieces.config().items()}
    with tracked_run(tracking, experiment=model, name=output.name, parameters=parameters) as track:
        callbacks = (track, *on_epoch)
        common: dict[str, Any] = {
            "output": output,
            "device": device,
            "on_epoch": [_numbered(each, after=epochs_of_pieces) for each in callbacks],
            "on_step": _steps("training", progress),
        }
        if start is not None:
            recipe = dataclasses.replace(chosen.fine_tuning, settings=settings)
            return fine_tune(
                start, train_arrays, val_arrays, recipe=recipe, keys=keys, progress=progress, **common
            )
        begun = Begun(settings)
        if chosen.pieces is not None:
            begun = begin_with_pieces(
                network,
                train_arrays,
                val_arrays,
                stage=chosen.pieces,
                settings=settings,
                preparation=preparation,
                output=output,
                augmentation=create_augmentation(chosen.augmentation),
                device=device,
                on_epoch=[_numbered(each, on_pieces=1.0) for each in callbacks],
                on_step=_steps("training on pieces", progress),
            )
        return fit_checkpoint(
            network,
            train_arrays,
            val_arrays,
            model=model,
            preparation=preparation,
            settings=begun.settings,
            augmentation=create_augmentation(chosen.augmentation),
            inference=chosen.inference,
            provenance=begun.provenance,
            origin=begun.origin,
            add_files=lambda folder: write_learned_labels(folder, set(keys)),
            **common,
        )


def _numbered(callback: EpochCallback, *, after: int = 0, **more: float) -> EpochCallback:
    """The callback, told an epoch that counts those of the stage before."""
    return lambda figures: callback({**figures, "epoch": figures["epoch"] + after, **more})


def _steps(what: str, progress: Progress | None) -> tuple[StepCallback, ...]:
    return () if progress is None else (functools.partial(progress, what),)


def _secret(studies: Path) -> str:
    from breastlabel.catalog import Catalog

    with Catalog.open(studies) as catalog:
        return catalog.salt()
