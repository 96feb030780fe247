"""The last stage of P0: how to read the images of a breast together, on features computed once."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from breastlabel.networks.mammography import MammographyHybrid
from breastlabel.networks.sequences import SequenceBatch
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.picks import Pick, pick, with_views_dropped
from breastlabel.training.precision import autocast, best_device
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.trainer import EpochCallback, class_weights
from breastlabel.transforms import Augmentation

__all__ = ["ReadingResult", "ReadingStage", "computed_steps", "learn_to_read", "with_eyes_of"]

#: What is learned here, or follows from the images' steps.
_READING = ("aggregation.", "dense.", "step_norm.")


@dataclass(frozen=True, kw_only=True)
class ReadingStage:
    """How the recurrence and the dense layer are learned anew, over a network that is otherwise finished.

    What a second view or a prior adds is told by whole breasts, of which there are far fewer than images, and
    each costs several images' work. With the steps of the images computed once, an epoch over all breasts
    takes a second, so that any subset of views and priors can be seen hundreds of times.

    Attributes:
        epochs: over the breasts.
        batch_size: breasts a step.
        learning_rate: at its peak; it falls to zero along a cosine.
        weight_decay: decoupled (AdamW).
        drop_views: probability with which an image of a breast is left out; see `with_views_dropped`.
        drop_features: probability with which a number of a step is replaced by its mean over all images.
        appearances: so many times each image is computed: as it is, then augmented; every other time all are
            turned upside down. Each step draws one for each image.
    """

    epochs: int = 120
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    drop_views: float = 0.3
    drop_features: float = 0.2
    appearances: int = 2

    def config(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ReadingResult:
    """The network with the best epoch's weights, in evaluation mode on the CPU, and how it got there."""

    network: MammographyHybrid
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float


def with_eyes_of(network: MammographyHybrid, trained: MammographyHybrid) -> MammographyHybrid:
    """The network with the encoder, decoder and mask layer of one that differs at most in what joins images.

    Raises:
        RuntimeError: they differ in more.
    """
    own = {name: value for name, value in network.state_dict().items() if name.startswith(_READING)}
    seen = {n: v for n, v in trained.state_dict().items() if not n.startswith(_READING)}
    network.load_state_dict(own | seen)
    return network


def learn_to_read(
    network: MammographyHybrid,
    train: TrainingArrays,
    val: TrainingArrays | None,
    *,
    stage: ReadingStage,
    settings: TrainingSettings,
    augmentation: Augmentation | None = None,
    device: str | None = None,
    on_epoch: Sequence[EpochCallback] = (),
) -> ReadingResult:
    """Learn from random weights what joins the images of a breast, and nothing else.

    Args:
        network: its encoder, decoder and mask layer stay as they are, and with them the outlines.
        val: the epoch with the smallest loss of its classes is kept; without it the last.
        settings: seed, precision, label smoothing and class weights.
        augmentation: of the images' further appearances; without one they differ by the turn alone.
    """
    started = time.monotonic()
    target = best_device(device)
    network.to(target).eval()
    seed = settings.seed
    steps = computed_steps(
        network, train, settings=settings, appearances=stage.appearances, augmentation=augmentation
    )
    judged = None if val is None else computed_steps(network, val, settings=settings, appearances=1)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    mean = _begin_anew(network, steps)
    learned = [*network.aggregation.parameters(), *network.dense.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    batches = -(-len(train) // stage.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, stage.epochs * batches)
    weights = class_weights(train.labels).to(target) if settings.balance_classes else None
    best, best_value, best_epoch = copy.deepcopy(network.state_dict()), float("inf"), 0
    history: list[dict[str, float]] = []
    for epoch in range(1, stage.epochs + 1):
        network.aggregation.train()
        network.dropout.train()
        total = 0.0
        for index in torch.split(torch.randperm(len(train), generator=generator), stage.batch_size):
            whole = with_views_dropped(pick(network, train, index), stage.drop_views, generator)
            shown = _one_appearance(steps, whole, generator)
            dropped = torch.rand(shown.shape, generator=generator).to(target) < stage.drop_features
            logits = _classified(network, torch.where(dropped, mean, shown), whole)
            loss = _loss(logits, train, index, weights, settings.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learned, 5.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(index)
        network.eval()
        figures = {"epoch": float(epoch), "train_class": total / len(train)}
        if val is not None and judged is not None:
            figures["val_class"] = _loss_on(network, judged[0], val, weights)
        history.append(figures)
        value = figures.get("val_class", -float(epoch))
        if value < best_value:
            best_value, best_epoch = value, epoch
            best = copy.deepcopy(network.state_dict())
        for callback in on_epoch:
            callback(figures)
    network.load_state_dict(best)
    network.cpu().eval()
    return ReadingResult(network, history, best_epoch, time.monotonic() - started)


@torch.inference_mode()
def computed_steps(
    network: MammographyHybrid,
    arrays: TrainingArrays,
    *,
    settings: TrainingSettings,
    appearances: int,
    augmentation: Augmentation | None = None,
    at_once: int = 32,
) -> Tensor:
    """What the recurrence is fed of each image but for the context, (appearances, N, F).

    Appearance 0 is the image as it is. Odd ones are turned upside down, all images of them alike: the views
    of a breast and its priors are turned together or not at all.

    Args:
        network: in evaluation mode.
        settings: seed and precision.
    """
    device = next(network.parameters()).device
    drawn = None if augmentation is None else dataclasses.replace(augmentation, vertical_flip=0.0)
    generator = torch.Generator(device).manual_seed(settings.seed)
    found = []
    for appearance in range(appearances):
        parts = []
        for rows in np.array_split(np.arange(len(arrays.images)), -(-len(arrays.images) // at_once)):
            images = torch.from_numpy(arrays.images[rows]).to(device).float()[:, None]
            if drawn is not None and appearance:
                params = drawn.draw(len(images), arrays.size, generator)
                images, _ = drawn.apply(params, images, torch.zeros_like(images))
            if appearance % 2:
                images = images.flip(2)
            images = images.contiguous(memory_format=torch.channels_last)
            with autocast(device, settings.precision):
                deepest, decoded = network.look(images)
                parts.append(network.steps(deepest, decoded, images)[0].float())
        found.append(torch.cat(parts))
    return torch.stack(found)


def _begin_anew(network: MammographyHybrid, steps: Tensor) -> Tensor:
    """Random weights for what is learned, the steps' scale for the normalisation; returns their mean."""
    flat = steps.flatten(0, 1)
    mean = flat.mean(0)
    with torch.no_grad():
        if network.step_norm is not None:
            norm: Any = network.step_norm
            norm.reset_parameters()
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(flat.var(0))
        for module in network.aggregation.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        nn.init.normal_(network.dense.weight, std=0.01)
        nn.init.zeros_(network.dense.bias)
    # Steps were computed in inference mode; what is learned of them needs ordinary tensors.
    return mean.clone()


def _one_appearance(steps: Tensor, whole: Pick, generator: torch.Generator) -> Tensor:
    """Of each image one appearance, turned or not as the other images of its breast are: (M, F)."""
    appearances, members = len(steps), whole.members
    assert members is not None, "the network takes sequences"
    n = len(whole.images)
    if appearances == 1:
        return steps[0, whole.images].clone()
    turned = torch.randint(2, (len(whole.cases),), generator=generator)[torch.from_numpy(members.sequence)]
    among = torch.where(turned == 1, appearances // 2, (appearances + 1) // 2)
    chosen = (torch.rand(n, generator=generator) * among).long() * 2 + turned
    return steps[chosen, whole.images].clone()


def _classified(network: MammographyHybrid, steps: Tensor, whole: Pick) -> Tensor:
    members = whole.members
    assert members is not None, "the network takes sequences"
    sequence = torch.from_numpy(members.sequence).to(steps.device)
    context = torch.from_numpy(members.context).to(steps.device)
    return network.classify(steps, SequenceBatch(steps, sequence, context))


def _loss(
    logits: Tensor, arrays: TrainingArrays, index: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    labels = torch.from_numpy(arrays.labels[index.numpy()]).to(logits.device)
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits[known], labels[known], weight=weights, label_smoothing=smoothing)


@torch.no_grad()
def _loss_on(
    network: MammographyHybrid, steps: Tensor, arrays: TrainingArrays, weights: Tensor | None
) -> float:
    index = torch.arange(len(arrays))
    whole = pick(network, arrays, index)
    logits = _classified(network, steps[whole.images].clone(), whole)
    return float(_loss(logits, arrays, index, weights, 0.0))
