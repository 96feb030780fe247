"""P2's computer-aided diagnosis: ResNet-50 and a head a kind of data, on one mammogram and its form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.blocks import ConvBlock
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.networks.texture import TEXTURE_NAMES, FeatureNorm, texture_features
from breastlabel.networks.trunk import ImageTrunk

__all__ = ["CadNet"]


class CadNet(SequenceNetwork):
    """Class of one mammogram; P2, "Proposed DL Architecture".

    A backbone, fine-tuned on mammograms, then a head for the image (convolutions and fully connected layers)
    and one for what the form says (age, view, density; fully connected layers), and the class from both.
    Texture statistics of the image stand beside them ("Feature extraction": these parameters, combined with
    the images, are the network's input). The numbers of layers and units are not in the paper.

    Without arguments it has the paper's ResNet-50, with random weights. It judges one image at a time: of a
    longer sequence it takes the last, and of an image alone the form is empty.
    """

    outlines = False
    uses_views = False
    uses_priors = False

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        widths: Sequence[int] = (32, 64, 128, 256),
        convolutions: Sequence[int] = (256, 256),
        dense: int = 128,
        clinical: int = 32,
        texture: bool = True,
        dropout: float = 0.5,
        normalisation: str = "batch",
        checkpointing: bool = False,
        n_classes: int = 3,
        pretrained: bool | str = False,
    ) -> None:
        """Build the network.

        Args:
            backbone: a timm model, or "blocks" for a small one of ours.
            widths: channels of the blocks of "blocks".
            convolutions: channels of the image head's 3x3 convolutions.
            dense: units of the image head's fully connected layer.
            clinical: units of the form's two fully connected layers; 0 for a network without the form.
            texture: whether texture statistics are an input.
            dropout: before the class layer.
            normalisation: see `ImageTrunk`, as ``checkpointing`` and ``pretrained``; the head's
                convolutions have it too, but are never frozen.

        Raises:
            UnknownNameError: unknown backbone or normalisation.
        """
        super().__init__()
        self._config: dict[str, object] = {
            "backbone": backbone,
            "widths": list(widths),
            "convolutions": list(convolutions),
            "dense": dense,
            "clinical": clinical,
            "texture": texture,
            "dropout": dropout,
            "normalisation": normalisation,
            "checkpointing": checkpointing,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
        }
        self.trunk = ImageTrunk(
            backbone,
            widths=widths,
            pretrained=pretrained,
            normalisation=normalisation,
            checkpointing=checkpointing,
        )
        self.stride = self.trunk.reduction
        channels = [self.trunk.out_channels, *convolutions]
        self.image_convolutions = nn.Sequential(*(ConvBlock(a, b) for a, b in pairwise(channels)))
        self.image_dense = nn.Sequential(nn.Linear(2 * channels[-1], dense), nn.ReLU(inplace=True))
        self.form = (
            nn.Sequential(
                nn.Linear(CONTEXT_SIZE, clinical),
                nn.ReLU(inplace=True),
                nn.Linear(clinical, clinical),
                nn.ReLU(inplace=True),
            )
            if clinical
            else None
        )
        self.texture_norm = FeatureNorm(len(TEXTURE_NAMES)) if texture else None
        width = dense + clinical + (len(TEXTURE_NAMES) if texture else 0)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, n_classes)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def encode(self, image: Tensor) -> list[Tensor]:
        """The backbone's deepest map, and that of the image head's convolutions."""
        deepest = self.trunk(image)
        return [deepest, self.image_convolutions(deepest)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """The deepest map itself; there is nothing to outline."""
        return features[-1]

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Class logits (B, 3) of each sequence's last image, and masks that say "no lesion"."""
        last = batch.lengths.cumsum(0) - 1
        deepest = features[-1][last]
        pooled = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1)
        parts = [self.image_dense(pooled)]
        if self.form is not None:
            parts.append(self.form(batch.context[last]))
        if self.texture_norm is not None:
            parts.append(self.texture_norm(texture_features(batch.images[last])))
        logits = self.classify(self.dropout(torch.cat([part.float() for part in parts], dim=1)))
        return HybridOutput(self.no_outline(batch.images), logits.float())

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)
