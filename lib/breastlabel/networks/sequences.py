"""Networks that look at several images at once: the views of a breast, and its priors."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks.base import HybridNetwork, HybridOutput

__all__ = ["SequenceBatch", "SequenceNetwork"]

_PIXELS_AT_ONCE = 1 << 21


class SequenceBatch(NamedTuple):
    """M images of B sequences, without padding.

    The images of a sequence stand together, oldest exam first and CC before MLO within an exam, so the last
    is of the newest exam. What does not exist takes no part: neither in convolutions and their
    statistics nor in the recurrence.

    Attributes:
        images: (M, 1, H, W) grey in [0, 1].
        sequence: (M,) int64, which sequence an image belongs to: 0 to B - 1, in ascending order, each once or
            more often.
        context: (M, CONTEXT_SIZE), `breastlabel.imaging.context.image_context` of each image.
    """

    images: Tensor
    sequence: Tensor
    context: Tensor

    @property
    def n_sequences(self) -> int:
        """B."""
        return int(self.sequence[-1]) + 1

    @property
    def lengths(self) -> Tensor:
        """(B,) images of each sequence."""
        return torch.bincount(self.sequence, minlength=self.n_sequences)

    @classmethod
    def singles(cls, images: Tensor, context: Tensor | None = None) -> SequenceBatch:
        """Each image a sequence of its own, of which nothing else is known unless ``context`` says so."""
        n = len(images)
        if context is None:
            context = images.new_zeros((n, CONTEXT_SIZE))
        return cls(images, torch.arange(n, device=images.device), context)


class SequenceNetwork(HybridNetwork):
    """Images of a breast -> encode and decode each -> read them together -> masks and one class a breast.

    Whatever works on one image (`HybridNetwork`) works on these too: an image alone is a sequence of one of
    which only the pixels are known.

    Attributes:
        outlines: whether its mask logits are learned; else they say "no lesion" everywhere.
        uses_views: whether the other views of the breast in the same exam belong into a sequence.
        uses_priors: whether older exams of the breast do.
    """

    outlines: bool = True
    uses_views: bool = True
    uses_priors: bool = True

    @abstractmethod
    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Masks of the images and classes of the sequences.

        Args:
            features: of `encode`, for the M images; the deepest at least.
            decoded: of `decode`.

        Returns:
            ``mask_logits`` (M, 1, H, W), of every image; ``class_logits`` (B, 3), of every sequence.
        """

    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        """As `read`, each image a sequence of one."""
        return self.read([deepest], decoded, SequenceBatch.singles(image))

    def describe(self, image: Tensor) -> Tensor | None:
        """None: these networks use no texture statistics."""
        return None

    def forward(
        self, image: Tensor, sequence: Tensor | None = None, context: Tensor | None = None
    ) -> HybridOutput:
        """Masks of the images, and a class for each sequence; see `SequenceBatch`.

        Args:
            image: (M, 1, H, W) in [0, 1], H and W divisible by ``stride``.
            sequence: (M,); None for sequences of one.
            context: (M, CONTEXT_SIZE); None where nothing is known.

        Raises:
            InvalidImageError: the shapes do not fit, or ``sequence`` does not count up from 0.
        """
        batch = self.make_batch(image, sequence, context)
        if self.training or torch.is_grad_enabled():
            features = self.encode(image)
            return self.read(features, self.decode(features), batch)
        deepest, decoded = self.look(image)
        return self.read([deepest], decoded, batch)

    def look(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest and the decoded maps of (M, 1, H, W) images, encoded a few at a time.

        A breast may have six films of a thousand pixels square, whose finer maps would not fit together into
        the memory of a small machine. For inference: the network is in evaluation mode.
        """
        at_once = max(1, _PIXELS_AT_ONCE // (image.shape[-2] * image.shape[-1]))
        deepest, decoded = [], []
        for part in torch.split(image, at_once):
            features = self.encode(part)
            deepest.append(features[-1])
            decoded.append(self.decode(features))
        return torch.cat(deepest), torch.cat(decoded)

    def make_batch(self, image: Tensor, sequence: Tensor | None, context: Tensor | None) -> SequenceBatch:
        """What `forward` was given as one batch, checked; see there."""
        self.check_input(image)
        batch = SequenceBatch.singles(image, context)
        if sequence is not None:
            _check_sequence(sequence, len(image))
            batch = batch._replace(sequence=sequence)
        if batch.context.shape != (len(image), CONTEXT_SIZE):
            raise InvalidImageError(
                f"a context of {CONTEXT_SIZE} numbers an image is required; got {tuple(batch.context.shape)} "
                f"for {len(image)} images; make it with image_context"
            )
        return batch

    @staticmethod
    def no_outline(images: Tensor) -> Tensor:
        """Mask logits (M, 1, H, W) that say "no lesion" everywhere, in the memory of one number."""
        return images.new_full((1, 1, 1, 1), -20.0, dtype=torch.float32).expand(
            len(images), 1, images.shape[-2], images.shape[-1]
        )


def _check_sequence(sequence: Tensor, n: int) -> None:
    steps = sequence.diff()
    if sequence.shape != (n,) or int(sequence[0]) != 0 or bool(((steps < 0) | (steps > 1)).any()):
        raise InvalidImageError(
            f"the {n} images' sequences must be numbered 0, 1, ... in ascending order; got "
            f"{sequence.tolist()[:8]}; sort the images by their sequence"
        )
