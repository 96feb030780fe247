"""A training step: ours against MONAI Label's BasicTrainTask with CacheDataset, on the same network.

Without a GPU, processor time is counted, not the clock's: other work on the machine then does not matter.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.results import Row, at_least, at_most, skipped
from breastlabel.datasets.phantoms import ultrasound_phantom
from breastlabel.imaging import LesionClass
from breastlabel.networks import create_network
from breastlabel.networks.presets import EFFICIENT_ULTRASOUND
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.losses import JointLoss
from breastlabel.training.precision import has_fast_bf16
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.trainer import fit

__all__ = ["rows"]

_IMAGES, _BATCH, _EPOCHS = 64, 16, 2
_now = time.perf_counter if torch.cuda.is_available() else time.process_time


def rows(*, size: int = 192, turns: int = 3) -> list[Row]:
    """The two training rows of the table.

    Args:
        size: rows and columns of the images.
        turns: how often ours and the stock trainer follow one another.
    """
    found = [_overhead(size, turns)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bar, name = (2.0, "a GPU") if device == "cuda" else (1.5, "this CPU")
    if not has_fast_bf16(device):
        return [*found, skipped(f"train on {name} with its own precision", "no fast bfloat16 here")]
    # Which of the two runs first changes with every turn.
    ours, stock = [], []
    with tempfile.TemporaryDirectory() as folder:
        task, datalist = _stock_task(Path(folder), size)
        for turn in range(turns):
            runs = [(ours, lambda: _seconds_an_image(size, "auto")), (stock, lambda: task.timed(datalist))]
            for times, run in runs if turn % 2 else reversed(runs):
                times.append(run())
    mine, theirs = float(np.median(ours)), float(np.median(stock))
    return [
        *found,
        at_least(
            f"train {size} x {size}, batch {_BATCH}, {device}, own precision",
            f"{1 / mine:.1f} images/s",
            f"BasicTrainTask, CacheDataset {1 / theirs:.1f}",
            theirs / mine,
            bar,
        ),
    ]


def _overhead(size: int, turns: int) -> Row:
    """What a step of ours takes beside forward pass, loss, backward pass and optimiser.

    Against a bare loop of these four on batches that lie ready, at the same precision.
    """
    ours, bare = [], []
    for turn in range(turns):
        runs = [(ours, lambda: _seconds_an_image(size, "fp32")), (bare, lambda: _bare_seconds_an_image(size))]
        for times, run in runs if turn % 2 else reversed(runs):
            times.append(run())
    mine, least = float(np.median(ours)), float(np.median(bare))
    return at_most(
        f"train {size} x {size}, batch {_BATCH}: beside forward, backward, optimiser",
        f"{1000 * mine:.1f} ms an image",
        f"bare loop {1000 * least:.1f} ms",
        100 * max(mine - least, 0.0) / mine,
        5.0,
        unit=" %",
    )


def _network() -> Any:
    torch.manual_seed(0)
    return create_network("ultrasound", **EFFICIENT_ULTRASOUND)


def _arrays(size: int) -> TrainingArrays:
    rng = np.random.default_rng(0)
    labels = np.arange(_IMAGES, dtype=np.int64) % 3
    images = rng.random((_IMAGES, size, size), dtype=np.float32).astype(np.float16)
    masks = np.zeros((_IMAGES, size, size), dtype=np.uint8)
    masks[labels > 0, size // 3 : size // 2, size // 3 : size // 2] = 1
    ids = np.array([f"image-{i}" for i in range(_IMAGES)])
    return TrainingArrays(
        images=images,
        masks=masks,
        has_mask=np.ones(_IMAGES, dtype=bool),
        labels=labels,
        groups=ids,
        ids=ids,
    )


def _seconds_an_image(size: int, precision: Any) -> float:
    """The best epoch of a short training, augmentation and averaged weights included."""
    settings = TrainingSettings(
        epochs=_EPOCHS,
        batch_size=_BATCH,
        patience=None,
        precision=precision,
        average_decay=0.99,
        schedule="cosine",
    )
    marks = [_now()]
    fit(
        _network(),
        _arrays(size),
        None,
        settings=settings,
        augmentation=create_augmentation("strong"),
        on_epoch=(lambda figures: marks.append(_now()),),
    )
    return min(np.diff(marks)) / _IMAGES


def _bare_seconds_an_image(size: int) -> float:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = _network().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss = JointLoss()
    arrays = _arrays(size)
    images = torch.from_numpy(arrays.images[:_BATCH]).float()[:, None].to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    masks = torch.from_numpy(arrays.masks[:_BATCH]).float()[:, None].to(device)
    has_mask = torch.ones(_BATCH, dtype=torch.bool, device=device)
    labels = torch.from_numpy(arrays.labels[:_BATCH]).to(device)
    times = []
    for _ in range(_EPOCHS):
        started = _now()
        for _ in range(_IMAGES // _BATCH):
            output = network(images)
            parts = loss(
                output.mask_logits, output.class_logits, masks=masks, has_mask=has_mask, labels=labels
            )
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(parts.total)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(_now() - started)
    return min(times) / _IMAGES


class _MaskOnly(nn.Module):
    """The same network, as the stock trainer wants one: a tensor in, a tensor out."""

    def __init__(self) -> None:
        super().__init__()
        self.network = _network()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        output = self.network(image)
        # The class head takes part, or its share of the work would be left out.
        return output.mask_logits + 0.0 * output.class_logits.sum()


def _stock_task(folder: Path, size: int) -> tuple[Any, list[dict[str, str]]]:
    """MONAI Label's trainer as its radiology app sets one up, on PNG files of the same size."""
    from ignite.engine import Events
    from monai.losses import DiceCELoss
    from monai.transforms import (
        Activationsd,
        AsDiscreted,
        EnsureChannelFirstd,
        EnsureTyped,
        LoadImaged,
        RandFlipd,
        RandRotated,
        RandScaleIntensityd,
        RandShiftIntensityd,
        Resized,
        ScaleIntensityd,
    )
    from monailabel.tasks.train.basic_train import BasicTrainTask, Context
    from PIL import Image

    # The trainer logs every step.
    logging.disable(logging.INFO)
    keys = ("image", "label")

    class Stock(BasicTrainTask):  # type: ignore[misc]  # MONAI Label ships no types
        def network(self, context: Context) -> nn.Module:
            return _MaskOnly()

        def optimizer(self, context: Context) -> torch.optim.Optimizer:
            return torch.optim.AdamW(context.network.parameters(), lr=1e-4)

        def loss_function(self, context: Context) -> nn.Module:
            return DiceCELoss(sigmoid=True)

        def train_pre_transforms(self, context: Context) -> list[Callable[..., Any]]:
            return [
                LoadImaged(keys=keys),
                EnsureChannelFirstd(keys=keys),
                ScaleIntensityd(keys=keys),
                Resized(keys=keys, spatial_size=(size, size), mode=("area", "nearest")),
                EnsureTyped(keys=keys),
                RandFlipd(keys=keys, prob=0.5, spatial_axis=0),
                RandRotated(keys=keys, prob=0.8, range_x=0.26, mode=("bilinear", "nearest")),
                RandScaleIntensityd(keys="image", factors=0.2, prob=0.8),
                RandShiftIntensityd(keys="image", offsets=0.1, prob=0.8),
            ]

        def train_post_transforms(self, context: Context) -> list[Callable[..., Any]]:
            return [Activationsd(keys="pred", sigmoid=True), AsDiscreted(keys="pred", threshold=0.5)]

        def val_inferer(self, context: Context) -> None:
            return None

        def _create_trainer(self, context: Context) -> Any:
            trainer = super()._create_trainer(context)
            self.marks: list[float] = []
            for event in (Events.EPOCH_STARTED, Events.EPOCH_COMPLETED):
                trainer.add_event_handler(event, lambda engine: self.marks.append(_now()))
            return trainer

        def timed(self, datalist: list[dict[str, str]]) -> float:
            request = {
                "name": "bench",
                "model": "bench",
                "max_epochs": _EPOCHS,
                "train_batch_size": _BATCH,
                "val_split": 0.0,
                "multi_gpu": False,
                "dataset": "CacheDataset",
                "dataloader": "ThreadDataLoader",
                "device": "cuda" if torch.cuda.is_available() else "cpu",
                "tracking": "None",
                "pretrained": False,
                "run_id": "bench",
            }
            config = {**self._config, **request}
            self.train(0, 1, config, datalist)
            seconds = np.diff(self.marks)[::2]
            return float(min(seconds)) / _IMAGES

    datalist = []
    for i in range(_IMAGES):
        phantom = ultrasound_phantom(i, label=LesionClass(i % 3), shape=(size, size))
        names = {key: folder / f"{key}-{i}.png" for key in keys}
        Image.fromarray(phantom.pixels.astype(np.uint8)).save(names["image"])
        Image.fromarray((255 * (phantom.mask > 0)).astype(np.uint8)).save(names["label"])
        datalist.append({key: str(path) for key, path in names.items()})
    return Stock(str(folder / "model"), amp=True), datalist
