"""Which images make a case: one image alone, or the views and priors of a breast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.errors import StudiesError
from breastlabel.imaging.context import CONTEXT_SIZE

__all__ = ["Cases", "Index", "Members"]

Index = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


class Members(NamedTuple):
    """The M images of some cases, case after case.

    Attributes:
        images: (M,) positions among the images.
        sequence: (M,) which of the cases, 0, 1, ... in ascending order.
        newest: (M,) whether the image is of the exam that is judged.
        context: (M, CONTEXT_SIZE), `breastlabel.imaging.context.image_context`.
    """

    images: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    newest: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]

    def take(self, rows: slice | npt.NDArray[Any]) -> Members:
        """Some of them; ``sequence`` stays as it is."""
        return Members(self.images[rows], self.sequence[rows], self.newest[rows], self.context[rows])


@dataclass(frozen=True)
class Cases:
    """C cases of N images: which images make each, in order, oldest exam first.

    An image may be in several cases: as a prior of one, and of the newest exam of another.

    Attributes:
        keys: (C,) a name for each case.
        offsets: (C + 1,) int64: case c has the members ``offsets[c]`` to ``offsets[c + 1]``, one or more.
        images: (M,) int64 position of each member among the images.
        newest: (M,) bool, whether it is of the exam that is judged; in each case one is.
        context: (M, CONTEXT_SIZE) float32: it belongs to the member, for an image is a prior only in a case.
    """

    keys: npt.NDArray[np.str_]
    offsets: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    newest: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        c, m = len(self.keys), len(self.images)
        lengths = np.diff(self.offsets)
        whole = len(self.offsets) == c + 1 and self.offsets[0] == 0 and self.offsets[-1] == m
        fits = len(self.newest) == m and self.context.shape == (m, CONTEXT_SIZE)
        if not whole or not fits or (lengths < 1).any():
            raise StudiesError(
                f"each of the {c} cases must have one image or more, each with a context of {CONTEXT_SIZE} "
                f"numbers; got offsets {self.offsets.tolist()[:6]}... for {m} images and contexts "
                f"{self.context.shape}; prepare the studies again"
            )
        if c and not np.logical_or.reduceat(self.newest, self.offsets[:-1]).all():
            raise StudiesError(
                "each case must have an image of its newest exam, which is judged; one has none; "
                "prepare the studies again"
            )

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def singles(cls, keys: npt.NDArray[np.str_]) -> Cases:
        """Each image a case of its own, of which nothing else is known."""
        n = len(keys)
        return cls(
            keys, np.arange(n + 1), np.arange(n), np.ones(n, bool), np.zeros((n, CONTEXT_SIZE), np.float32)
        )

    @classmethod
    def of_lists(
        cls,
        keys: Sequence[str],
        images: Sequence[Sequence[int]],
        newest: Sequence[Sequence[bool]],
        context: Sequence[npt.NDArray[np.float32]],
    ) -> Cases:
        """From one list a case, of each member's position and whether it is of the newest exam.

        Args:
            context: (n, CONTEXT_SIZE) of the n members of each case.
        """
        return cls(
            np.asarray(keys, str),
            _offsets([len(each) for each in images]),
            np.asarray([i for each in images for i in each], np.int64),
            np.asarray([is_newest for each in newest for is_newest in each], bool),
            np.concatenate([*context, np.zeros((0, CONTEXT_SIZE))]).astype(np.float32),
        )

    @cached_property
    def single(self) -> bool:
        """Whether each image is the one case of its own, in the same order."""
        n = len(self)
        return bool(len(self.images) == n and (self.images == np.arange(n)).all() and self.newest.all())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(C,) images of each case."""
        return np.diff(self.offsets)

    def members(self, index: npt.NDArray[np.int64] | None = None) -> Members:
        """The images of the cases at these positions, in their order; None for all cases."""
        if index is None:
            sequence = np.repeat(np.arange(len(self)), self.lengths)
            return Members(self.images, sequence, self.newest, self.context)
        lengths = self.lengths[index]
        sequence = np.repeat(np.arange(len(index)), lengths)
        rows = np.arange(len(sequence)) + (self.offsets[index] - _offsets(lengths)[:-1])[sequence]
        return Members(self.images[rows], sequence, self.newest[rows], self.context[rows])

    def case_of_image(self, n: int) -> npt.NDArray[np.int64]:
        """(N,) the case in which each of the ``n`` images is of the newest exam, -1 where it is in none."""
        found = np.full(n, -1, np.int64)
        everything = self.members()
        found[everything.images[everything.newest]] = everything.sequence[everything.newest]
        return found

    def select(self, index: Index) -> tuple[Cases, npt.NDArray[np.int64]]:
        """The cases at ``index``, and the positions of the images that they need.

        Where each image is its own case, an image of a case that is asked for twice is there twice.
        """
        chosen = np.arange(len(self))[index]
        found = self.members(chosen)
        needed, images = np.unique(found.images, return_inverse=True)
        if self.single:
            needed, images = found.images, np.arange(len(chosen))
        offsets = _offsets(self.lengths[chosen])
        return Cases(self.keys[chosen], offsets, images, found.newest, found.context), needed

    @classmethod
    def concatenate(cls, parts: Sequence[Cases], n_images: Sequence[int]) -> Cases:
        """All cases of several sets.

        Args:
            n_images: how many images each set has.
        """
        before = _offsets(n_images)[:-1]
        return cls(
            np.concatenate([part.keys for part in parts]),
            _offsets(np.concatenate([part.lengths for part in parts])),
            np.concatenate([p.images + n for p, n in zip(parts, before, strict=True)]).astype(np.int64),
            np.concatenate([part.newest for part in parts]),
            np.concatenate([part.context for part in parts]),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by name, ``case_`` before each, for `from_arrays`."""
        return {f"case_{each.name}": getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Cases:
        """The inverse of `arrays`; there may be others beside."""
        return cls(**{each.name: arrays[f"case_{each.name}"] for each in fields(cls)})


def _offsets(lengths: npt.NDArray[np.int64] | Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
