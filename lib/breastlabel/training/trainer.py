"""The training loop: draw, augment, infer, loss, backward; then validate, keep the best, go on.

It runs wherever torch, numpy, scipy and safetensors are installed.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.losses import JointLoss
from breastlabel.training.picks import OnDevice, chunks, pick, with_views_dropped
from breastlabel.training.precision import best_device
from breastlabel.training.rehearsal import Batches, ShuffledBatches
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.state import TrainerState, load_state, save_state
from breastlabel.training.step import BatchAugmentation, Step
from breastlabel.training.validation import validate

__all__ = ["BatchAugmentation", "EpochCallback", "FitResult", "StepCallback", "class_weights", "fit"]

# Called after each epoch with its figures; an exception from it ends the training (cancellation).
EpochCallback = Callable[[dict[str, float]], None]
# Called after each step with (steps done in this epoch, steps an epoch).
StepCallback = Callable[[int, int], None]

# Of a step, in its order.
_FIGURES = ("train_loss", "train_mask_bce", "train_mask_dice", "train_class", "train_invasive", "train_boxes")


@dataclass(frozen=True)
class FitResult:
    """A network with the best epoch's weights, in evaluation mode on the CPU, and how it got there."""

    network: HybridNetwork
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float


def class_weights(labels: npt.NDArray[np.int64], n_classes: int = len(LesionClass)) -> Tensor:
    """Inverse square roots of the class frequencies, mean 1 over the images; absent classes get 1.

    The square root stands between no correction and full balance, which would let the rarest class's
    few images dominate.
    """
    counts = np.bincount(labels[labels >= 0], minlength=n_classes).astype(np.float64)
    weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0)
    mean = (weights * counts).sum() / max(counts.sum(), 1)
    weights = np.where(counts > 0, weights / max(mean, 1e-12), 1)
    return torch.tensor(weights, dtype=torch.float32)


def fit(
    network: HybridNetwork,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    settings: TrainingSettings,
    batches: Batches | None = None,
    augmentation: BatchAugmentation | None = None,
    device: str | None = None,
    state_folder: Path | None = None,
    origin: str = "",
    on_epoch: Sequence[EpochCallback] = (),
    on_step: Sequence[StepCallback] = (),
) -> FitResult:
    """Train a network that returns ``mask_logits`` of the images and ``class_logits`` of the cases.

    Args:
        network: trained in place; with a time limit of 0 it stays as it is.
        train: what it learns from.
        val: chooses the best epoch and stops early; without it the last epoch is kept.
        batches: which cases each step learns from; by default all of them, shuffled, each epoch.
        state_folder: where the state is kept after each epoch; a training that finds its own state
            there goes on with it.
        origin: says what the arguments do not show of where the training comes from (start weights,
            preparation, augmentation); a state of another origin is not resumed.
        on_epoch, on_step: called as the training goes on; an exception they raise ends it.
    """
    target = best_device(device)
    torch.manual_seed(settings.seed)
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    state = TrainerState(network, optimizer)
    identity = _identity(network, train, val, settings, origin)
    if state_folder is not None:
        load_state(state, state_folder, identity=identity)
    loss = JointLoss(
        dice_weight=settings.dice_weight,
        class_weight=settings.class_weight,
        class_weights=class_weights(train.labels).to(target) if settings.balance_classes else None,
        label_smoothing=settings.label_smoothing,
        pooled_dice=settings.pooled_dice,
    )
    val_loss = copy.copy(loss)
    val_loss.class_weights = None if loss.class_weights is None else loss.class_weights.cpu()
    now = time.process_time if settings.clock == "process" else time.monotonic
    started = now() - state.elapsed
    on_device = OnDevice(train, target)
    draw = batches or ShuffledBatches(len(train), settings.batch_size)

    while not _finished(state, settings):
        figures = _epoch(
            state, on_device, draw, loss, settings, augmentation, lambda: now() - started, on_step
        )
        if val is not None:
            figures |= validate(_averaged(state), val, val_loss, settings)
        state.epoch += 1
        state.elapsed = now() - started
        figures |= {"epoch": state.epoch, "seconds": round(state.elapsed, 1)}
        state.history.append(figures)
        value = _monitored(figures, settings, has_val=val is not None)
        if value < state.best_value or not state.best:
            state.best_value, state.best_epoch = value, state.epoch
            state.best = {k: v.detach().cpu().clone() for k, v in _averaged(state).state_dict().items()}
        if state_folder is not None:
            save_state(state, state_folder, identity=identity)
        for callback in on_epoch:
            callback(figures)

    if state.best:
        network.load_state_dict(state.best)
    network.cpu().eval()
    return FitResult(network, state.history, state.best_epoch, state.elapsed)


def _epoch(
    state: TrainerState,
    train: OnDevice,
    draw: Batches,
    loss: JointLoss,
    settings: TrainingSettings,
    augmentation: BatchAugmentation | None,
    elapsed: Callable[[], float],
    on_step: Sequence[StepCallback],
) -> dict[str, float]:
    network, optimizer = state.network, state.optimizer
    network.train()
    if settings.keep_statistics:
        _keep_statistics(network)
    # Seeded by epoch: a resumed training draws what an uninterrupted one would have drawn.
    seed = settings.seed * 1_000_003 + state.epoch
    torch.manual_seed(seed)
    order_generator = torch.Generator().manual_seed(seed)
    # A generator for each, so that none depends on how much another draws.
    generator = torch.Generator(train.device).manual_seed(seed)
    drop_generator = torch.Generator().manual_seed(seed)
    batches = draw(order_generator)
    learn = Step(network, train, loss, settings.precision, augmentation, generator)
    totals, seen = torch.zeros(len(_FIGURES), device=train.device), 0
    for step, index in enumerate(batches):
        progress = _progress(state.epoch + step / len(batches), elapsed(), settings)
        if settings.time_limit is not None and elapsed() > settings.time_limit:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(progress, settings)
        whole = with_views_dropped(pick(network, train.arrays, index), settings.drop_views, drop_generator)
        optimizer.zero_grad(set_to_none=True)
        figures = learn(chunks(whole, settings.max_images))
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        _update_average(state, settings)
        # Summed on the device: reading a number back each step would keep a GPU waiting.
        totals += figures * len(index)
        seen += len(index)
        for callback in on_step:
            callback(step + 1, len(batches))
    means = dict(zip(_FIGURES, (totals / max(seen, 1)).tolist(), strict=True))
    if not network.answers_invasive:
        del means["train_invasive"]
    if not network.finds_boxes:
        del means["train_boxes"]
    return means


def _keep_statistics(network: nn.Module) -> None:
    """Batch normalisation uses its running statistics, as in inference, and leaves them as they are."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _finished(state: TrainerState, settings: TrainingSettings) -> bool:
    waited = state.epoch - state.best_epoch
    return (
        state.epoch >= settings.epochs
        or (settings.time_limit is not None and state.elapsed >= settings.time_limit)
        or (settings.patience is not None and waited >= settings.patience)
    )


def _progress(epoch: float, elapsed: float, settings: TrainingSettings) -> float:
    by_clock = 0.0 if settings.time_limit is None else elapsed / settings.time_limit
    return min(max(epoch / settings.epochs, by_clock), 1.0)


def _schedule(progress: float, settings: TrainingSettings) -> float:
    if settings.schedule == "constant":
        return 1.0
    warm_up = 0.05
    if progress < warm_up:
        return max(progress / warm_up, 0.02)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


@torch.no_grad()
def _update_average(state: TrainerState, settings: TrainingSettings) -> None:
    if not settings.average_decay:
        return
    current = state.network.state_dict()
    if not state.average:
        state.average = {k: v.detach().clone() for k, v in current.items()}
        return
    # The average forgets its start quickly at first (as in TensorFlow's ExponentialMovingAverage).
    steps = state.average.setdefault("_steps", torch.zeros(()))
    steps += 1
    decay = min(settings.average_decay, (1 + float(steps)) / (10 + float(steps)))
    for name, value in current.items():
        if value.dtype.is_floating_point:
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def _averaged(state: TrainerState) -> HybridNetwork:
    """The network that is validated and kept: with averaged weights where averaging is on."""
    if not state.average:
        return state.network
    averaged = copy.deepcopy(state.network)
    averaged.load_state_dict({k: v for k, v in state.average.items() if k != "_steps"})
    return averaged


def _monitored(figures: dict[str, float], settings: TrainingSettings, *, has_val: bool) -> float:
    """Smaller is better. Without validation images every epoch is better than the one before."""
    if not has_val or settings.monitor == "last":
        return -float(figures["epoch"])
    value = figures["val_loss"] if settings.monitor == "loss" else -figures["val_score"]
    return value if math.isfinite(value) else float("inf")


def _identity(
    network: HybridNetwork,
    train: TrainingArrays,
    val: TrainingArrays | None,
    settings: TrainingSettings,
    origin: str,
) -> str:
    shapes = sorted((k, list(v.shape)) for k, v in network.state_dict().items())
    validation = None if val is None else val.fingerprint()
    what = [shapes, train.fingerprint(), validation, settings.config(), origin]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
