"""What every network that outlines and classifies one image has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from breastlabel.errors import InvalidImageError

__all__ = ["BoxLogits", "HybridNetwork", "HybridOutput"]


class BoxLogits(NamedTuple):
    """Unnormalised answers at A anchors of each image, float32; `breastlabel.networks.boxes` reads them.

    Attributes:
        classes: (M, A, 2) logits of benign and malignant.
        offsets: (M, A, 4) of the box from the anchor.
    """

    classes: Tensor
    offsets: Tensor


class HybridOutput(NamedTuple):
    """Unnormalised answers for a batch of images; float32 whatever precision the network ran in.

    Attributes:
        mask_logits: (B, 1, H, W), one lesion logit a pixel of the input; its sigmoid is the probability.
        class_logits: (B, n_classes) in the order of ``LesionClass``; their softmax are the probabilities.
        invasive_logits: (B,), whose sigmoid is the probability that the cancer, if there is one, is invasive
            and not in situ; None where the network does not answer that.
        boxes: around the lesions of each image; None where the network does not answer that.
    """

    mask_logits: Tensor
    class_logits: Tensor
    invasive_logits: Tensor | None = None
    boxes: BoxLogits | None = None


class HybridNetwork(nn.Module, ABC):
    """Image -> encode -> decode -> heads -> lesion mask and class.

    The three steps are public so that stochastic passes, heat maps and region features repeat only
    what they change.

    Attributes:
        stride: rows and columns of the input must be divisible by it.
        answers_invasive: whether it tells invasive cancers from those in situ.
        finds_boxes: whether it draws boxes around lesions.
    """

    stride: int = 1
    answers_invasive: bool = False
    finds_boxes: bool = False

    @abstractmethod
    def encode(self, image: Tensor) -> list[Tensor]:
        """Feature maps of (B, 1, H, W) grey images in [0, 1], finest first, deepest last."""

    @abstractmethod
    def decode(self, features: list[Tensor]) -> Tensor:
        """The feature map (B, C, h, w) from which the mask is read; h, w may be coarser than the input."""

    @abstractmethod
    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        """Mask and class from the decoded map, the deepest features and the image itself.

        ``texture`` (B, N) saves computing the image's texture statistics again where the heads run
        several times on one image; see :meth:`describe`.
        """

    @abstractmethod
    def describe(self, image: Tensor) -> Tensor | None:
        """The image's texture statistics (B, N), or None where the network does not use them."""

    @abstractmethod
    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values: a network built from them fits this one's weights."""

    def forward(self, image: Tensor) -> HybridOutput:
        """Lesion mask and class of grey images.

        Args:
            image: (B, 1, H, W) in [0, 1], H and W divisible by ``stride``.

        Raises:
            InvalidImageError: the shape is another.
        """
        self.check_input(image)
        features = self.encode(image)
        decoded = self.decode(features)
        return self.heads(decoded, features[-1], image)

    def check_input(self, image: Tensor) -> None:
        """Raise InvalidImageError where the network cannot run on images of this shape."""
        if image.ndim != 4 or image.shape[1] != 1:
            raise InvalidImageError(
                f"grey images (B, 1, H, W) are required; got a tensor of shape {tuple(image.shape)}; "
                "average colour channels and add the batch and channel axes"
            )
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride:
            padded = tuple(-(-size // self.stride) * self.stride for size in (height, width))
            raise InvalidImageError(
                f"image height and width must be divisible by {self.stride}; got ({height}, {width}); "
                f"resize or pad to {padded}"
            )
