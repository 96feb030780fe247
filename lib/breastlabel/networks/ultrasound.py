"""P1's hybrid for ultrasound: Gabor channels, CNN, LSTM sweeps, U-Net decoder, two heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.networks.backbones import TimmEncoder
from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.networks.blocks import BlockEncoder, ConvBlock
from breastlabel.networks.decoder import UNetDecoder
from breastlabel.networks.gabor import GaborBank
from breastlabel.networks.heads import ClassHead, MaskHead
from breastlabel.networks.recurrence import SweepRecurrence
from breastlabel.networks.texture import TEXTURE_NAMES, texture_features

__all__ = ["UltrasoundHybrid"]


class UltrasoundHybrid(HybridNetwork):
    """Outline and class (normal, benign, malignant) of a breast ultrasound image.

    Without arguments it is the paper's: Gabor responses at 0, 45 and 90 degrees beside the image,
    three blocks of convolution, batch normalisation, ReLU and max-pooling, a row-wise and column-wise
    LSTM over the deepest map, texture statistics beside the class head.
    """

    def __init__(
        self,
        *,
        encoder: str = "blocks",
        widths: Sequence[int] = (32, 64, 128),
        convs_per_block: int = 1,
        residual: bool = False,
        stem_stride: int = 1,
        pool_last: bool = True,
        gabor: bool = True,
        recurrence: str | None = "lstm",
        recurrent_hidden: int = 64,
        texture: bool = True,
        mask_pooling: bool = False,
        mask_gradient: bool = False,
        decoder_widths: Sequence[int] | None = None,
        dropout: float = 0.5,
        mask_dropout: float = 0.1,
        decoder_dropout: float = 0.0,
        n_classes: int = 3,
        pretrained: bool | str = False,
    ) -> None:
        """Build the network with random weights (drawn from torch's generator) or pretrained ones.

        Args:
            encoder: "blocks", or a timm model's name.
            widths: channels of each block; this and the next four concern "blocks" only.
            convs_per_block: convolutions in each block, of the decoder too.
            residual: whether blocks after the first add their input.
            stem_stride: 2 halves the resolution at once and outlines at half resolution.
            pool_last: whether the last block is pooled too, as in the paper.
            gabor: whether Gabor responses are stacked on the image.
            recurrence: "lstm", "gru", or None for no sweeps.
            recurrent_hidden: units a direction.
            texture: whether texture statistics stand beside the class head.
            mask_pooling: whether features under the predicted lesion do.
            mask_gradient: whether the class loss moves the mask through that pooling.
            decoder_widths: channels of each step up, deepest first; the skips' where None.
            dropout: before the class layer.
            mask_dropout: share of channels dropped before the mask layer.
            decoder_dropout: share of channels dropped inside the decoder.
            pretrained: for a timm encoder: True, or a weights file.

        Raises:
            UnknownNameError: unknown encoder or recurrence.
            MissingDependencyError: a timm encoder without timm.
        """
        super().__init__()
        self._config: dict[str, object] = {
            "encoder": encoder,
            "widths": list(widths),
            "convs_per_block": convs_per_block,
            "residual": residual,
            "stem_stride": stem_stride,
            "pool_last": pool_last,
            "gabor": gabor,
            "recurrence": recurrence,
            "recurrent_hidden": recurrent_hidden,
            "texture": texture,
            "mask_pooling": mask_pooling,
            "mask_gradient": mask_gradient,
            "decoder_widths": None if decoder_widths is None else list(decoder_widths),
            "dropout": dropout,
            "mask_dropout": mask_dropout,
            "decoder_dropout": decoder_dropout,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
        }
        self.gabor = GaborBank() if gabor else None
        in_channels = self.gabor.out_channels if self.gabor is not None else 1
        self.encoder: BlockEncoder | TimmEncoder
        if encoder == "blocks":
            self.encoder = BlockEncoder(
                in_channels,
                widths=widths,
                convs_per_block=convs_per_block,
                residual=residual,
                stem_stride=stem_stride,
                pool_last=pool_last,
            )
        else:
            self.encoder = TimmEncoder(encoder, in_channels, pretrained=pretrained)
        channels = self.encoder.out_channels
        self.stride = max(self.encoder.reductions)
        self.recurrence = (
            SweepRecurrence(channels[-1], cell=recurrence, hidden=recurrent_hidden) if recurrence else None
        )
        self.decoder = UNetDecoder(
            channels, widths=decoder_widths, convs_per_block=convs_per_block, dropout=decoder_dropout
        )
        self.mask_head = MaskHead(self.decoder.out_channels, dropout=mask_dropout)
        self.class_head = ClassHead(
            channels[-1],
            self.decoder.out_channels,
            texture_features=len(TEXTURE_NAMES) if texture else 0,
            mask_pooling=mask_pooling,
            mask_gradient=mask_gradient,
            dropout=dropout,
            n_classes=n_classes,
        )
        _initialise(self)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Feature maps, finest first; the sweeps are done on the deepest."""
        stacked = image if self.gabor is None else self.gabor(image)
        features: list[Tensor] = self.encoder(stacked)
        if self.recurrence is not None:
            features[-1] = self.recurrence(features[-1])
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """The last map of the U-Net's decoder, as fine as the encoder's finest."""
        decoded: Tensor = self.decoder(features)
        return decoded

    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        """Mask logits at the image's size, and class logits."""
        coarse = self.mask_head(decoded).float()
        class_logits = self.class_head(
            deepest, decoded, coarse, self.describe(image) if texture is None else texture
        )
        mask_logits = coarse
        if coarse.shape[-2:] != image.shape[-2:]:
            mask_logits = F.interpolate(coarse, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return HybridOutput(mask_logits, class_logits)

    def describe(self, image: Tensor) -> Tensor | None:
        """Texture statistics (B, N), where the class head uses them."""
        return None if self.class_head.texture_norm is None else texture_features(image)

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)


def _initialise(network: UltrasoundHybrid) -> None:
    """He et al. 2015 for convolutions before a ReLU; the heads and a timm backbone bring their own."""
    for block in network.modules():
        if isinstance(block, ConvBlock):
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if network.recurrence is not None:
        # Small at first: the sweeps refine the map, they do not drown it.
        with torch.no_grad():
            network.recurrence.project.weight.mul_(0.5)
