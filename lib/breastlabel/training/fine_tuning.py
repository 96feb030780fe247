"""Going on from a checkpoint: corrections at a site, or a new site altogether with as few as 20 labels.

What is done and the figures behind it: docs/concepts/fine-tuning.md.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.answers import Answers, answers
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.calibrate import Kept
from breastlabel.training.checkpoint import Checkpoint
from breastlabel.training.fitting import fit_checkpoint, training_origin
from breastlabel.training.held_out import HeldOut, deal_folds
from breastlabel.training.interpolation import interpolated
from breastlabel.training.learned_labels import new_labels as find_new_labels
from breastlabel.training.learned_labels import read_learned_labels, write_learned_labels
from breastlabel.training.losses import JointLoss
from breastlabel.training.rehearsal import MixedBatches
from breastlabel.training.settings import ENOUGH_PATIENTS, FineTuning
from breastlabel.training.step import outlines
from breastlabel.training.trainer import EpochCallback, FitResult, StepCallback, fit
from breastlabel.training.validation import validate

__all__ = ["fine_tune"]

Progress = Callable[[str, int, int], None]


def fine_tune(
    start: Checkpoint,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    recipe: FineTuning,
    output: Path,
    keys: Sequence[str] | None = None,
    device: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    on_epoch: Sequence[EpochCallback] = (),
    on_step: Sequence[StepCallback] = (),
    progress: Progress | None = None,
) -> Path:
    """Fine-tune a checkpoint on prepared arrays and write what comes out as a new one.

    Args:
        train: all labels of the train split, prepared as ``start`` prepares.
        val: the validation split, likewise.
        keys: `label_keys` of ``train``, by which new labels are told from those that ``start`` learned from;
            without them all labels count as new.
        on_epoch, on_step: of the training on all labels.
        progress: called with (what, done, of how many) while labels are held out.

    Raises:
        CheckpointError: as `fit_checkpoint`.
    """
    tuning = _Tuning(start, train, val, recipe, output, keys, device)
    held_out: HeldOut | None = None

    def finish(result: FitResult) -> tuple[HybridNetwork, Mapping[str, Any]]:
        nonlocal held_out
        coefficient = tuning.choose(result.network)
        held_out = tuning.hold_out(coefficient, progress)
        return tuning.at(result.network, coefficient), {"fine_tuning": tuning.record(coefficient, held_out)}

    def add_files(folder: Path) -> None:
        if keys is not None:
            write_learned_labels(folder, read_learned_labels(start.path) | set(keys))
        if held_out is not None:
            held_out.write(folder)

    return fit_checkpoint(
        copy.deepcopy(start.network),
        train,
        val,
        model=start.model,
        preparation=start.preparation,
        settings=tuning.settings,
        batches=tuning.batches(train, tuning.new),
        augmentation=tuning.augmentation,
        inference=start.spec["inference"],
        output=output,
        device=device,
        provenance={**(provenance or {}), "start_from": start.version},
        origin=tuning.origin,
        finish=finish,
        kept=None if tuning.enough else Kept(start.spec["calibration"], start.spec["thresholds"]),
        add_files=add_files,
        on_epoch=on_epoch,
        on_step=on_step,
    )


class _Tuning:
    """One fine-tuning: what is new, what is chosen how."""

    def __init__(
        self,
        start: Checkpoint,
        train: TrainingArrays,
        val: TrainingArrays | None,
        recipe: FineTuning,
        output: Path,
        keys: Sequence[str] | None,
        device: str | None,
    ) -> None:
        self.start, self.train, self.val = start, train, val
        self.recipe, self.output = recipe, output
        self.device = device
        self.augmentation = create_augmentation(recipe.augmentation)
        self.new = _new(start, train, keys)
        self.enough = _lesion_patients(val, start.network) >= ENOUGH_PATIENTS
        folds = min(recipe.folds, len(np.unique(train.groups[self.new])))
        self.folds = 0 if self.enough or folds < 2 else folds
        limit = recipe.settings.time_limit
        settings = dataclasses.replace(
            recipe.settings, time_limit=None if limit is None else limit / (1 + self.folds)
        )
        self.settings = (
            settings if self.enough else dataclasses.replace(settings, monitor="last", patience=None)
        )
        recorded = dataclasses.asdict(recipe)
        del recorded["settings"]
        self.origin = {"recipe": recorded, "new": np.packbits(self.new).tobytes().hex()}

    def batches(self, train: TrainingArrays, new: npt.NDArray[np.bool_]) -> MixedBatches:
        """An epoch is a pass over the new labels, or over all where none is new."""
        size = min(self.settings.batch_size, len(train))
        mixed = MixedBatches(new, size=size, steps=self.recipe.least_steps, share=self.recipe.new_share)
        drawn = new.sum() / mixed.share if new.any() else len(train)
        mixed.steps = max(mixed.steps, math.ceil(drawn / size))
        return mixed

    def at(self, tuned: HybridNetwork, coefficient: float) -> HybridNetwork:
        return interpolated(self.start.network, tuned, coefficient)

    def choose(self, tuned: HybridNetwork) -> float:
        """The coefficient: the best on validation where that is large enough to tell, else the first."""
        first, *others = self.recipe.coefficients
        if not self.enough or not others:
            return first
        assert self.val is not None
        scores = []
        for coefficient in self.recipe.coefficients:
            figures = validate(self.at(tuned, coefficient), self.val, JointLoss(), self.settings)
            scores.append(np.nan_to_num(figures["val_score"], nan=-np.inf))
        return self.recipe.coefficients[int(np.argmax(scores))]

    def hold_out(self, coefficient: float, progress: Progress | None) -> HeldOut | None:
        """Answers to the new labels by networks that were fine-tuned without them; None for none."""
        if not self.folds:
            return None
        fold = deal_folds(self.train, self.new, self.folds)
        before, after = Answers(), Answers()
        epochs = 0
        for k in range(self.folds):
            held, rest = self.train.select(fold == k), self.train.select(fold != k)

            earlier = k * self.settings.epochs

            def on_epoch(figures: dict[str, float], earlier: int = earlier) -> None:
                nonlocal epochs
                epochs = earlier + int(figures["epoch"])

            def on_step(done: int, total: int) -> None:
                if progress is not None:
                    whole = self.folds * self.settings.epochs * total
                    progress("checking on held-out labels", epochs * total + done, whole)

            result = fit(
                copy.deepcopy(self.start.network),
                rest,
                None,
                settings=dataclasses.replace(self.settings, monitor="last", patience=None),
                batches=self.batches(rest, self.new[fold != k]),
                augmentation=self.augmentation,
                device=self.device,
                state_folder=self.output / "folds" / str(k),
                origin=training_origin(
                    self.start.version, self.start.preparation, self.augmentation, {**self.origin, "fold": k}
                ),
                on_epoch=(on_epoch,),
                on_step=(on_step,),
            )
            before |= self._answers(self.start.network, held)
            after |= self._answers(self.at(result.network, coefficient), held)
        return HeldOut(self.start.version, before, after)

    def _answers(self, network: HybridNetwork, arrays: TrainingArrays) -> Answers:
        # One threshold for both: with few labels fine-tuning keeps the start's.
        spec = self.start.spec
        return answers(
            network,
            arrays,
            mask_threshold=float(spec["thresholds"].get("mask", 0.5)),
            temperature=float(spec["calibration"].get("temperature", 1.0)),
            views=spec.get("inference", {}).get("tta", ()),
        )

    def record(self, coefficient: float, held_out: HeldOut | None) -> dict[str, Any]:
        """What the checkpoint says of it."""
        batches = self.batches(self.train, self.new)
        said: dict[str, Any] = {
            "new_labels": int(self.new.sum()),
            "old_labels": int((~self.new).sum()),
            "new_share": round(batches.share, 3),
            "steps_per_epoch": batches.steps,
            "coefficient": coefficient,
            "chosen_on_validation": self.enough,
        }
        if held_out is not None:
            said["held_out"] = {
                "folds": self.folds,
                "images": len(held_out.before.scores),
                "dice_before": held_out.before.mean_dice(),
                "dice_after": held_out.after.mean_dice(),
            }
        return said


def _new(start: Checkpoint, train: TrainingArrays, keys: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    learned = read_learned_labels(start.path)
    if keys is not None and learned:
        return find_new_labels(keys, learned)
    # A checkpoint that does not say which labels it learned may still say that it was these.
    same = start.spec.get("training", {}).get("data_fingerprint") == train.fingerprint()
    return np.full(len(train), not same)


def _lesion_patients(val: TrainingArrays | None, network: HybridNetwork) -> int:
    """With an outlined lesion, or, where the network does not outline, with a malignant case."""
    if val is None:
        return 0
    if not outlines(network):
        return len(np.unique(val.groups[val.labels == LesionClass.MALIGNANT]))
    return len(np.unique(val.image_groups[val.has_mask & val.masks.any((1, 2))]))
