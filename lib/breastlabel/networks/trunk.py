"""One image -> its deepest feature map: what the classifiers of mammograms stand on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from breastlabel.errors import UnknownNameError
from breastlabel.networks.backbones import TimmEncoder
from breastlabel.networks.blocks import BlockEncoder

__all__ = ["NORMALISATIONS", "ImageTrunk"]

NORMALISATIONS = ("batch", "frozen", "group")


class ImageTrunk(nn.Module):
    """An encoder of which only the deepest map is wanted.

    Attributes:
        out_channels: C of that map.
        reduction: by how much it is coarser than the image.
    """

    def __init__(
        self,
        encoder: str,
        *,
        widths: Sequence[int] = (32, 64, 128, 256),
        pretrained: bool | str = False,
        normalisation: str = "batch",
        checkpointing: bool = False,
    ) -> None:
        """Build the encoder.

        Args:
            encoder: "blocks" (3x3 convolution, batch normalisation, ReLU, 2x2 max-pooling), or a timm model.
            widths: channels of the blocks; timm models have their own.
            pretrained: as `TimmEncoder` takes it.
            normalisation: "batch" as it comes; "frozen" keeps batch normalisation at the statistics it came
                with, for pretrained weights and small batches; "group" has groups of channels in its
                place (Wu and He, ECCV 2018), which does not mind the size of the batch.
            checkpointing: compute the encoder's stages again in the backward pass instead of keeping
                their maps (Chen et al. 2016): less memory for about a third more time. A timm model's batch
                normalisation then counts each batch twice in its running statistics.

        Raises:
            UnknownNameError: unknown encoder or normalisation, or one that cannot be checkpointed.
            MissingDependencyError: a timm encoder without timm.
        """
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise UnknownNameError("normalisation", normalisation, NORMALISATIONS)
        self.encoder: BlockEncoder | TimmEncoder
        if encoder == "blocks":
            self.encoder = BlockEncoder(1, widths=widths)
        else:
            self.encoder = TimmEncoder(encoder, 1, pretrained=pretrained)
        self.out_channels = self.encoder.out_channels[-1]
        self.reduction = max(self.encoder.reductions)
        self._frozen = normalisation == "frozen"
        if normalisation == "group":
            _group_norms(self)
        if checkpointing:
            _checkpoint_stages(self.encoder, encoder)
        self.train()

    def train(self, mode: bool = True) -> ImageTrunk:
        """As usual, but frozen batch normalisation stays in evaluation mode."""
        super().train(mode)
        if self._frozen:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(M, 1, H, W) -> (M, C, h, w)."""
        deepest: Tensor = self.encoder(image)[-1]
        return deepest


def _checkpoint_stages(encoder: BlockEncoder | TimmEncoder, name: str) -> None:
    if isinstance(encoder, BlockEncoder):
        encoder.checkpointing = True
        return
    # Stage by stage: the whole backbone at once would be computed again at once, and nothing be saved.
    setter = getattr(encoder.backbone, "set_grad_checkpointing", None)
    if setter is None:
        raise UnknownNameError(
            "encoder with gradient checkpointing", name, ["blocks", "resnet50", "efficientnet_b0"]
        )
    setter(True)


def _group_norms(module: nn.Module) -> None:
    """Put group normalisation where batch normalisation is, with its scale and shift."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            _group_norms(child)


def _group_norm(batch: nn.BatchNorm2d) -> nn.Module:
    channels = batch.num_features
    group = nn.GroupNorm(math.gcd(32, channels), channels, eps=batch.eps)
    with torch.no_grad():
        group.weight.copy_(batch.weight)
        group.bias.copy_(batch.bias)
    # timm folds dropping and the activation into its normalisation layers (BatchNormAct2d).
    extra = [getattr(batch, name) for name in ("drop", "act") if hasattr(batch, name)]
    return nn.Sequential(group, *extra) if extra else group
