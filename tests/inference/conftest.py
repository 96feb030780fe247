"""A network whose answers can be worked out by hand, and a checkpoint around it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.imaging import BreastImage, Modality
from breastlabel.networks import HybridNetwork, HybridOutput
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.transforms import preparation_from_config


class BrightnessNetwork(HybridNetwork):
    """A pixel's mask logit is 20 * (brightness - 1/2); the class logits are ``bias`` plus pooled light.

    The deepest map's first channel is the image at a quarter of its size, the second its negative.
    "malignant" gains with the mean of the first, "benign" with that of the second, and "normal" falls
    with the first.
    """

    stride = 4

    def __init__(self, bias: tuple[float, float, float] = (0.0, 0.0, 0.0), dropout: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))
        self.dropout = nn.Dropout(dropout)
        self.encoded = 0

    def encode(self, image: Tensor) -> list[Tensor]:
        self.encoded += 1
        small = F.avg_pool2d(image, 4)
        return [image, torch.cat([small, 1.0 - small], dim=1)]

    def decode(self, features: list[Tensor]) -> Tensor:
        return features[0]

    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        light = self.dropout(deepest.mean((2, 3)))
        logits = torch.stack([-light[:, 0], light[:, 1], light[:, 0]], dim=1) + self.bias
        return HybridOutput(20.0 * (decoded - 0.5), logits)

    def describe(self, image: Tensor) -> Tensor | None:
        return None

    def config(self) -> dict[str, object]:
        return {}


class BreastNetwork(SequenceNetwork):
    """As `BrightnessNetwork`, but a breast's class is read off the mean light over all its images.

    Malignant gains one more for each year that the contexts name as "years_before". The logit of invasive is
    the mean light and a constant, where one is given.
    """

    stride = 4

    def __init__(
        self,
        bias: tuple[float, float, float] = (0.0, 0.0, 0.0),
        dropout: float = 0.0,
        *,
        outlines: bool = True,
        mask_dropout: float = 0.0,
        invasive: float | None = None,
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))
        self.outlines = outlines
        self.invasive, self.answers_invasive = invasive, invasive is not None
        self.dropout = nn.Dropout(dropout)
        self.mask_dropout = nn.Dropout2d(mask_dropout)
        self.encoded = 0

    def encode(self, image: Tensor) -> list[Tensor]:
        self.encoded += len(image)
        small = F.avg_pool2d(image, 4)
        return [image, torch.cat([small, 1.0 - small], dim=1)]

    def decode(self, features: list[Tensor]) -> Tensor:
        return features[0]

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        light = self.dropout(features[-1].mean((2, 3)))
        sums = light.new_zeros(batch.n_sequences, 2).index_add(0, batch.sequence, light)
        mean = sums / batch.lengths[:, None]
        years = light.new_zeros(batch.n_sequences).index_add(0, batch.sequence, batch.context[:, 4])
        logits = torch.stack([-mean[:, 0], mean[:, 1], mean[:, 0] + years], dim=1) + self.bias
        told = None if self.invasive is None else mean[:, 0] + self.invasive
        if not self.outlines:
            return HybridOutput(self.no_outline(batch.images), logits, told)
        return HybridOutput(20.0 * (self.mask_dropout(decoded) - 0.5), logits, told)

    def config(self) -> dict[str, object]:
        return {}


@pytest.fixture(scope="session")
def breast_network() -> type[BreastNetwork]:
    return BreastNetwork


@pytest.fixture(scope="session")
def brightness_network() -> type[BrightnessNetwork]:
    return BrightnessNetwork


@pytest.fixture
def make_checkpoint() -> Callable[..., SimpleNamespace]:
    """A checkpoint whose preparation only scales to [0, 1] and resizes."""

    def make(
        *,
        bias: tuple[float, float, float] = (0.0, 0.0, 0.0),
        dropout: float = 0.0,
        network: nn.Module | None = None,
        size: tuple[int, int] = (32, 32),
        temperature: float = 1.0,
        calibration: dict[str, float] | None = None,
        thresholds: dict[str, float] | None = None,
        inference: dict[str, Any] | None = None,
        operating_point: dict[str, float] | None = None,
    ) -> SimpleNamespace:
        preparation = preparation_from_config(
            {"name": "ultrasound", "size": size, "percentiles": (0, 100), "clahe": False, "gaussian": False}
        )
        return SimpleNamespace(
            network=(network or BrightnessNetwork(bias, dropout)).eval(),
            preparation=preparation,
            version="20261120-000000-12345678",
            spec={
                "calibration": {"temperature": temperature, **(calibration or {})},
                "thresholds": {"mask": 0.5, "normal": 0.5} if thresholds is None else thresholds,
                "inference": inference or {},
                **({} if operating_point is None else {"operating_point": operating_point}),
            },
        )

    return make


@pytest.fixture
def bright_square() -> Callable[..., BreastImage]:
    """A dark image with one bright rectangle ``box`` = (row0, col0, row1, col1)."""

    def make(
        shape: tuple[int, int] = (96, 64), box: tuple[int, int, int, int] = (60, 8, 84, 24), **fields: Any
    ) -> BreastImage:
        pixels = np.zeros(shape, dtype=np.float32)
        pixels[box[0] : box[2], box[1] : box[3]] = 200.0
        return BreastImage(pixels=pixels, modality=Modality.US, **fields)

    return make
