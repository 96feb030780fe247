"""What goes through the network together: images, and which of them make a case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from breastlabel.errors import StudiesError
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.cases import Members

__all__ = ["OnDevice", "Pick", "Truth", "chunks", "pick", "with_views_dropped"]


class Pick(NamedTuple):
    """M images of B cases; positions are on the CPU.

    Attributes:
        cases: (B,) positions of the cases.
        images: (M,) positions of their images, case after case.
        members: how the images make the cases; None for a network that takes each image alone.
    """

    cases: Tensor
    images: Tensor
    members: Members | None

    def run(self, network: nn.Module, images: Tensor) -> HybridOutput:
        """The network's answer: masks of the M images, classes of the B cases.

        Args:
            images: (M, 1, H, W), those of this pick in any appearance, on the network's device.
        """
        if self.members is None:
            output: HybridOutput = network(images)
        else:
            sequence = torch.from_numpy(self.members.sequence).to(images.device)
            context = torch.from_numpy(self.members.context).to(images.device)
            output = network(images, sequence, context)
        return output


def pick(network: nn.Module, arrays: TrainingArrays, cases: Tensor) -> Pick:
    """The images that the network needs to judge these cases.

    Raises:
        StudiesError: the cases have several images and the network takes one alone.
    """
    if isinstance(network, SequenceNetwork):
        members = arrays.cases.members(cases.numpy())
        return Pick(cases, torch.from_numpy(members.images), members)
    if not arrays.cases.single:
        raise StudiesError(
            f"a network for sequences is required where several images make a case; {type(network).__name__} "
            "takes one image; prepare the studies for this network"
        )
    return Pick(cases, cases, None)


def chunks(whole: Pick, max_images: int | None) -> list[Pick]:
    """Parts of at most ``max_images`` images, but of one case at least."""
    if max_images is None or len(whole.images) <= max_images:
        return [whole]
    members = whole.members
    if members is None:
        return [Pick(part, part, None) for part in torch.split(whole.cases, max_images)]
    lengths = np.bincount(members.sequence, minlength=len(whole.cases))
    parts = []
    for first, end in _ranges(lengths, max_images):
        images = slice(int(lengths[:first].sum()), int(lengths[:end].sum()))
        part = members.take(images)
        part = part._replace(sequence=part.sequence - first)
        parts.append(Pick(whole.cases[first:end], whole.images[images], part))
    return parts


def _ranges(lengths: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    first = taken = 0
    for i, length in enumerate(lengths):
        if i > first and taken + length > most:
            yield first, i
            first, taken = i, 0
        taken += int(length)
    yield first, len(lengths)


def with_views_dropped(whole: Pick, probability: float, generator: torch.Generator) -> Pick:
    """Each image left out with a probability, but for one of the newest exam of each case.

    A network that is trained so answers to whatever views and priors there are.
    """
    members = whole.members
    if members is None or probability == 0:
        return whole
    chance = torch.rand(len(whole.images), generator=generator).numpy()
    kept = chance >= probability
    # The image of the newest exam that came closest to staying stays, where all of them would go.
    order = np.lexsort((-chance, ~members.newest, members.sequence))
    first = order[np.searchsorted(members.sequence[order], np.arange(len(whole.cases)))]
    has_newest = np.bincount(members.sequence[kept & members.newest], minlength=len(whole.cases)) > 0
    kept[first[~has_newest]] = True
    return Pick(whole.cases, whole.images[torch.from_numpy(kept)], members.take(kept))


class Truth(NamedTuple):
    """What is known of M images that make B cases.

    Attributes:
        has_mask: (M,) bool.
        labels: (B,) classes, -1 where unknown.
        invasive: (B,) 1 for invasive, 0 for in situ, -1 where unknown.
        box_classes: (M,) `TrainingArrays.box_classes`.
    """

    has_mask: Tensor
    labels: Tensor
    invasive: Tensor
    box_classes: Tensor


class OnDevice:
    """The training images on the device, so that a step never waits for a copy."""

    def __init__(self, arrays: TrainingArrays, device: torch.device) -> None:
        self.arrays, self.device = arrays, device
        self._images = torch.from_numpy(arrays.images).to(device)
        self._masks = torch.from_numpy(arrays.masks).to(device)
        self._has_mask = torch.from_numpy(arrays.has_mask).to(device)
        self._labels = torch.from_numpy(arrays.labels).to(device)
        self._invasive = torch.from_numpy(arrays.invasive).to(device)
        self._box_classes = torch.from_numpy(arrays.box_classes).to(device)

    def images(self, part: Pick) -> tuple[Tensor, Tensor]:
        """Images and masks (M, 1, H, W), float32."""
        index = part.images.to(self.device)
        return self._images[index].float()[:, None], self._masks[index].float()[:, None]

    def truth(self, part: Pick) -> Truth:
        """What is known of the images and the cases."""
        images, cases = part.images.to(self.device), part.cases.to(self.device)
        return Truth(
            self._has_mask[images], self._labels[cases], self._invasive[cases], self._box_classes[images]
        )
