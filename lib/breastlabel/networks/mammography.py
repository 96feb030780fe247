"""P0's hybrid for mammography: a CNN that is the U-Net's encoder, a gate, and recurrence over a breast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks.aggregation import (
    change_since_priors,
    create_aggregation,
    mean_of_newest,
    spread_of_newest,
)
from breastlabel.networks.backbones import TimmEncoder
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.blocks import BlockEncoder, ConvBlock
from breastlabel.networks.checkpointing import run_checkpointed
from breastlabel.networks.decoder import UNetDecoder
from breastlabel.networks.gating import (
    GATES,
    MEASURES,
    crop_grid,
    lesion_measures,
    lesion_summary,
    mean_under,
    pooled,
)
from breastlabel.networks.heads import MaskHead
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.networks.texture import FeatureNorm

__all__ = ["SEQUENCE_INPUTS", "MammographyHybrid"]

SEQUENCE_INPUTS = ("features", "gated", "images")


class MammographyHybrid(SequenceNetwork):
    """Outlines in every image of a breast, and one class (normal, benign, malignant) for the breast.

    Without arguments it is the paper's: 3x3 convolutions with ReLU and 2x2 max-pooling whose maps are also
    the U-Net's skips, an outline that gates the features, an LSTM of 256 units over the images of the breast,
    dropout 0.5, one dense layer.

    Its ablation: ``segmentation=False, gate="off", recurrence=None`` is the CNN alone; ``recurrence=None``
    adds the U-Net; the default adds the LSTM; ``uses_views`` and ``uses_priors`` say over what.
    """

    def __init__(
        self,
        *,
        encoder: str = "blocks",
        widths: Sequence[int] = (32, 64, 128, 256),
        convs_per_block: int = 1,
        residual: bool = False,
        stem_stride: int = 1,
        pool_last: bool = True,
        decoder_widths: Sequence[int] | None = None,
        segmentation: bool = True,
        gate: str = "soft",
        mask_gradient: bool = False,
        sequence_input: str = "features",
        measures: bool = False,
        norm_steps: bool = False,
        recurrence: str | None = "lstm",
        recurrent_hidden: int = 256,
        shortcut: bool = False,
        comparisons: bool = False,
        uses_views: bool = True,
        uses_priors: bool = True,
        dropout: float = 0.5,
        mask_dropout: float = 0.1,
        decoder_dropout: float = 0.0,
        checkpointing: bool = False,
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
            decoder_widths: channels of each step up, deepest first; the skips' where None.
            segmentation: whether lesions are outlined.
            gate: "off"; "soft", features weighted by the outline; "crop", a window around it, resampled.
            mask_gradient: whether the class loss moves the outline through the gate.
            sequence_input: what of each image the recurrence is fed: "features", of the whole image and of
                the gated part; "gated", of the gated part alone; "images", the gated image, encoded again.
            measures: whether the recurrence is told too how large, how sure and where the outline is, see
                `lesion_measures`; needs a gate.
            norm_steps: whether each number that the recurrence is fed is brought to one scale first (batch
                normalisation): an outline's share of the image is else a hundredth of a feature.
            recurrence: "lstm", "gru", "bilstm", "transformer", "mean"; None looks at the newest image alone.
            recurrent_hidden: units, a direction.
            shortcut: whether the mean step of the newest exam reaches the dense layer beside the recurrence,
                which makes learning from few cases easier.
            comparisons: whether it is given besides in what the newest exam's views differ, and how that
                exam has changed against the priors; needs ``shortcut``.
            uses_views: whether the other views of the breast are wanted in a sequence.
            uses_priors: whether older exams are.
            dropout: before the dense layer.
            mask_dropout: share of channels dropped before the mask layer.
            decoder_dropout: share of channels dropped inside the decoder.
            checkpointing: whether encoder and decoder are computed again for the gradient, to save memory.
            pretrained: for a timm encoder: True, or a weights file.

        Raises:
            UnknownNameError: unknown encoder, gate, sequence input or recurrence.
            MissingDependencyError: a timm encoder without timm.
            ValueError: a gate without an outline, or a gated input without a gate.
        """
        super().__init__()
        self._config: dict[str, object] = {
            "encoder": encoder,
            "widths": list(widths),
            "convs_per_block": convs_per_block,
            "residual": residual,
            "stem_stride": stem_stride,
            "pool_last": pool_last,
            "decoder_widths": None if decoder_widths is None else list(decoder_widths),
            "segmentation": segmentation,
            "gate": gate,
            "mask_gradient": mask_gradient,
            "sequence_input": sequence_input,
            "measures": measures,
            "norm_steps": norm_steps,
            "recurrence": recurrence,
            "recurrent_hidden": recurrent_hidden,
            "shortcut": shortcut,
            "comparisons": comparisons,
            "uses_views": uses_views,
            "uses_priors": uses_priors,
            "dropout": dropout,
            "mask_dropout": mask_dropout,
            "decoder_dropout": decoder_dropout,
            "checkpointing": checkpointing,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
        }
        _check_gate(gate, sequence_input, segmentation, measures)
        self.gate, self.sequence_input, self.mask_gradient = gate, sequence_input, mask_gradient
        self.measures = measures
        self.checkpointing = checkpointing
        self.outlines = segmentation
        # Without recurrence only the newest image is looked at.
        self.uses_views = uses_views and recurrence is not None
        self.uses_priors = uses_priors and recurrence is not None
        self.encoder: BlockEncoder | TimmEncoder
        if encoder == "blocks":
            self.encoder = BlockEncoder(
                1,
                widths=widths,
                convs_per_block=convs_per_block,
                residual=residual,
                stem_stride=stem_stride,
                pool_last=pool_last,
            )
        else:
            self.encoder = TimmEncoder(encoder, 1, pretrained=pretrained)
        self.encoder.checkpointing = checkpointing
        channels = self.encoder.out_channels
        self.stride = max(self.encoder.reductions)
        self.decoder: UNetDecoder | None = None
        self.mask_head: MaskHead | None = None
        decoded_channels = 0
        if segmentation:
            self.decoder = UNetDecoder(
                channels, widths=decoder_widths, convs_per_block=convs_per_block, dropout=decoder_dropout
            )
            decoded_channels = self.decoder.out_channels
            self.mask_head = MaskHead(decoded_channels, dropout=mask_dropout)
        read = _step_features(channels[-1], decoded_channels, gate, sequence_input)
        read += MEASURES if measures else 0
        self.step_norm = FeatureNorm(read) if norm_steps else None
        step = read + CONTEXT_SIZE
        self.aggregation = create_aggregation(recurrence, step, recurrent_hidden)
        self.shortcut = shortcut and recurrence is not None
        self.dropout = nn.Dropout(dropout)
        self.comparisons = comparisons and self.shortcut
        beside = step * ((1 + 2 * self.comparisons) if self.shortcut else 0)
        self.dense = nn.Linear(self.aggregation.out_features + beside, n_classes)
        _initialise(self)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Feature maps, finest first."""
        features: list[Tensor] = self.encoder(images)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """The U-Net decoder's last map, as fine as the encoder's finest; without one, the deepest map."""
        if self.decoder is None:
            return features[-1]
        decoded: Tensor = (
            run_checkpointed(self.decoder, features) if self.checkpointing else self.decoder(features)
        )
        return decoded

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Mask logits at the images' size, and class logits of the sequences."""
        steps, mask_logits = self.steps(features[-1], decoded, batch.images)
        return HybridOutput(mask_logits, self.classify(steps, batch))

    def steps(self, deepest: Tensor, decoded: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the recurrence is fed of each image, (M, F) but for the context, and the mask logits."""
        if self.mask_head is None:
            return pooled(deepest), self.no_outline(images)
        coarse = self.mask_head(decoded).float()
        return self._steps(deepest, decoded, coarse, images), _at_size(coarse, images)

    def classify(self, steps: Tensor, batch: SequenceBatch) -> Tensor:
        """Class logits of the sequences, of the `steps` of their images; the pixels are not looked at."""
        # Full precision: errors add up along a sequence, and it is small.
        with torch.autocast(steps.device.type, enabled=False):
            steps = steps.float() if self.step_norm is None else self.step_norm(steps.float())
            steps = torch.cat([steps, batch.context.float()], dim=1)
            answer = self.aggregation(steps, batch)
            if self.shortcut:
                answer = torch.cat([answer, mean_of_newest(steps, batch)], dim=1)
            if self.comparisons:
                compared = [spread_of_newest(steps, batch), change_since_priors(steps, batch)]
                answer = torch.cat([answer, *compared], dim=1)
            class_logits: Tensor = self.dense(self.dropout(answer))
        return class_logits

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)

    def _steps(self, deepest: Tensor, decoded: Tensor, coarse: Tensor, images: Tensor) -> Tensor:
        whole = pooled(deepest)
        if self.gate == "off":
            return whole
        lesion = torch.sigmoid(coarse if self.mask_gradient else coarse.detach())
        if self.sequence_input == "images":
            again = self.encoder(self._gated_images(lesion, images))[-1]
            parts = [pooled(again), lesion_summary(lesion)]
        else:
            parts = [self._gated(lesion, deepest), self._gated(lesion, decoded), lesion_summary(lesion)]
        if self.sequence_input != "gated":
            parts.insert(0, whole)
        if self.measures:
            parts.append(lesion_measures(coarse if self.mask_gradient else coarse.detach()))
        return torch.cat([part.float() for part in parts], dim=1)

    def _gated(self, lesion: Tensor, features: Tensor) -> Tensor:
        """The part of a map (M, C, h, w) that the gate lets through, averaged: (M, C)."""
        if self.gate == "soft":
            return mean_under(lesion, features)
        window = F.grid_sample(features.float(), crop_grid(lesion, _WINDOW), align_corners=False)
        return window.mean((2, 3))

    def _gated_images(self, lesion: Tensor, images: Tensor) -> Tensor:
        """The segmented images: all but the lesion dark, or the window around it."""
        if self.gate == "soft":
            shape = (images.shape[-2], images.shape[-1])
            upsampled = F.interpolate(lesion, size=shape, mode="bilinear", align_corners=False)
            return images * upsampled.to(images.dtype)
        height, width = (max(self.stride, n // 2 // self.stride * self.stride) for n in images.shape[-2:])
        grid = crop_grid(lesion, (height, width))
        return F.grid_sample(images.float(), grid, align_corners=False).to(images.dtype)


_WINDOW = (8, 8)


def _check_gate(gate: str, sequence_input: str, segmentation: bool, measures: bool) -> None:
    if gate not in GATES:
        raise UnknownNameError("gate", gate, GATES)
    if sequence_input not in SEQUENCE_INPUTS:
        raise UnknownNameError("sequence_input", sequence_input, SEQUENCE_INPUTS)
    if gate != "off" and not segmentation:
        raise ValueError(f"gate '{gate}' needs an outline; give segmentation=True or gate='off'")
    if gate == "off" and measures:
        raise ValueError("measures are of the outline that gates; give gate='soft' or 'crop'")
    if gate == "off" and sequence_input != "features":
        raise ValueError(
            f"sequence_input '{sequence_input}' needs a gate; give gate='soft' or 'crop', or 'features'"
        )


def _step_features(deepest: int, decoded: int, gate: str, sequence_input: str) -> int:
    """The length of what `MammographyHybrid._steps` returns for an image."""
    if gate == "off":
        return 2 * deepest
    gated = {
        "features": 2 * deepest + deepest + decoded,
        "gated": deepest + decoded,
        "images": 2 * deepest + 2 * deepest,
    }
    return gated[sequence_input] + 2


def _at_size(coarse: Tensor, images: Tensor) -> Tensor:
    if coarse.shape[-2:] == images.shape[-2:]:
        return coarse
    shape = (images.shape[-2], images.shape[-1])
    return F.interpolate(coarse, size=shape, mode="bilinear", align_corners=False)


def _initialise(network: MammographyHybrid) -> None:
    """He et al. 2015 for convolutions before a ReLU; heads and a timm backbone bring their own."""
    for block in network.modules():
        if isinstance(block, ConvBlock):
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    # The classes start equal.
    nn.init.normal_(network.dense.weight, std=0.01)
    nn.init.zeros_(network.dense.bias)
