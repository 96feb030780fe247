"""Small things that can be learned in seconds: discs, dark for benign, darker for malignant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import TrainingArrays
from breastlabel.training.cases import Cases


@pytest.fixture
def discs() -> Callable[..., TrainingArrays]:
    """A function that makes N prepared images, a third of each class."""

    def make(n: int, *, size: int = 32, seed: int = 0) -> TrainingArrays:
        rng = np.random.default_rng(seed)
        rows, cols = np.mgrid[:size, :size]
        images, masks, labels = [], [], []
        for i in range(n):
            label = i % 3
            row, col = rng.uniform(size * 0.3, size * 0.7, 2)
            inside = ((rows - row) ** 2 + (cols - col) ** 2 < (size * 0.2) ** 2) & (label > 0)
            image = 0.7 + 0.03 * rng.standard_normal((size, size))
            image[inside] = 0.35 if label == 1 else 0.05
            images.append(image.clip(0, 1))
            masks.append(inside)
            labels.append(label)
        return TrainingArrays(
            np.asarray(images, np.float16),
            np.asarray(masks, np.uint8),
            np.ones(n, bool),
            np.asarray(labels),
            np.asarray([f"image-{i}" for i in range(n)]),
            np.asarray([f"patient-{i // 2}" for i in range(n)]),
        )

    return make


@pytest.fixture
def tiny_network() -> Callable[..., HybridNetwork]:
    """A function that builds the smallest hybrid, the same weights each time."""

    def make(**arguments: object) -> HybridNetwork:
        torch.manual_seed(0)
        defaults: dict[str, object] = {
            "widths": (4, 8),
            "recurrent_hidden": 4,
            "texture": False,
            "gabor": False,
            "dropout": 0.1,
        }
        return create_network("ultrasound", **(defaults | arguments))

    return make


@pytest.fixture
def breasts(discs: Callable[..., TrainingArrays]) -> Callable[..., TrainingArrays]:
    """A function that makes C breasts of two views, a third of each class; every other one has a prior.

    The prior is the first view of the breast before, which is another case of the same patient.
    """

    def make(n: int, *, size: int = 32, seed: int = 0) -> TrainingArrays:
        # Of three images in a row each has another class: views of a breast lie three apart.
        images = discs(6 * -(-n // 3), size=size, seed=seed)
        rng = np.random.default_rng(seed)
        views = [[6 * (c // 3) + c % 3, 6 * (c // 3) + c % 3 + 3] for c in range(n)]
        members = [[views[c - 1][0], *views[c]] if c % 2 else views[c] for c in range(n)]
        newest = [[False, True, True] if c % 2 else [True, True] for c in range(n)]
        context = [rng.random((len(each), CONTEXT_SIZE)).astype(np.float32) for each in members]
        cases = Cases.of_lists([f"breast-{c}" for c in range(n)], members, newest, context)
        groups = np.asarray([f"patient-{c // 2}" for c in range(n)])
        labels = np.asarray([c % 3 for c in range(n)])
        arrays = TrainingArrays(
            images.images, images.masks, images.has_mask, labels, images.ids, groups, cases
        )
        return arrays.select(np.arange(n))

    return make


@pytest.fixture
def tiny_sequences() -> Callable[..., SequenceNetwork]:
    """A function that builds the smallest network for breasts, the same weights each time."""

    def make(**arguments: object) -> SequenceNetwork:
        torch.manual_seed(0)
        defaults: dict[str, object] = {
            "widths": (4, 8),
            "recurrent_hidden": 4,
            "shortcut": True,
            "dropout": 0.1,
        }
        network = create_network("mammography", **(defaults | arguments))
        assert isinstance(network, SequenceNetwork)
        return network

    return make
