"""One training on the labels there are, of a length that does not depend on how many they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.precision import Precision
from breastlabel.training.settings import TrainingSettings
from breastlabel.training.trainer import fit
from breastlabel.training.validation import dice_scores, run_network

__all__ = ["Answers", "Learner", "answers", "repeated"]


@dataclass(frozen=True)
class Learner:
    """Trains a network from the start.

    Attributes:
        network: arguments of `create_network`, ``name`` among them.
        settings: of the trainer; its ``seed``, ``epochs`` and early stopping are set here.
        augmentation: as presets name it.
        n_train: images of the whole train split: the length of an epoch.
        device: a GPU where there is one, if None.
    """

    network: Mapping[str, Any]
    settings: TrainingSettings
    augmentation: str | None
    n_train: int
    device: str | None = None

    def steps(self, epochs: int) -> int:
        """Optimiser steps of one training."""
        return epochs * -(-self.n_train // self.settings.batch_size)

    def epochs(self, steps: int) -> int:
        """The fewest epochs that take so many steps."""
        return -(-steps // self.steps(1))

    def fit(self, labelled: TrainingArrays, *, epochs: int, seed: int) -> HybridNetwork:
        """Train on these labels alone; the same seed starts from the same weights.

        No image chooses the epoch or stops the training: at the beginning of a site's work there are no
        labels to spare for that, and the last weights (averaged, where the settings say so) are taken.
        """
        torch.manual_seed(seed)
        arguments = dict(self.network)
        network = create_network(arguments.pop("name"), **arguments)
        n = -(-self.n_train // self.settings.batch_size) * self.settings.batch_size
        rows = repeated(len(labelled), n, np.random.default_rng(seed))
        settings = dataclasses.replace(
            self.settings, seed=seed, epochs=epochs, patience=None, time_limit=None
        )
        augmentation = create_augmentation(self.augmentation)
        result = fit(
            network,
            labelled.select(rows),
            None,
            settings=settings,
            augmentation=augmentation,
            device=self.device,
        )
        return result.network

    def lengths(self, epochs: int, reference_epochs: int) -> dict[str, int]:
        """Steps of a round and of the longer reference, and images a step, for the report."""
        return {
            "steps": self.steps(epochs),
            "reference_steps": self.steps(reference_epochs),
            "batch_size": self.settings.batch_size,
        }

    def config(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "network": {k: list(v) if isinstance(v, tuple) else v for k, v in self.network.items()},
            "settings": self.settings.config(),
            "augmentation": self.augmentation,
        }


def repeated(n: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """``length`` positions of n images, each as often as every other, give or take one."""
    rounds = [rng.permutation(n) for _ in range(-(-length // n))]
    return np.asarray(np.concatenate(rounds)[:length], dtype=np.int64)


@dataclass(frozen=True)
class Answers:
    """How a network answers N images.

    Attributes:
        dice: (N,), NaN where there is no lesion or no outline; a missed lesion is 0.
        malignant: (N,), probability of the class.
    """

    dice: npt.NDArray[np.float64]
    malignant: npt.NDArray[np.float64]


def answers(network: HybridNetwork, arrays: TrainingArrays, *, precision: Precision = "auto") -> Answers:
    """One plain pass over labelled images, masks cut at one half, on the prepared images."""
    outputs = run_network(network, arrays, precision=precision)
    dice = dice_scores(outputs.mask_logits, arrays.masks)
    probabilities = torch.from_numpy(outputs.class_logits).double().softmax(1)
    return Answers(np.where(arrays.has_mask, dice, np.nan), probabilities[:, LesionClass.MALIGNANT].numpy())
