"""P4's FusionView-Net: the two views of a breast side by side in one image, and one classifier over it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.imaging.context import CONTEXT_NAMES
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.networks.trunk import ImageTrunk

__all__ = ["FusionViewNet"]

_CC, _MLO, _PRIOR = (CONTEXT_NAMES.index(name) for name in ("view_cc", "view_mlo", "is_prior"))


class FusionViewNet(SequenceNetwork):
    """Class of a breast from its CC and MLO view, joined before the first layer; P4, "Workflow Overview".

    CC lies to the left of MLO. The joined image is scaled to [0, 1] by its minimum and maximum and resized
    bilinearly, whatever the size of the views. Whether the views are isolated and cropped before ("cropped
    fusion") or not ("direct fusion") is the preparation's choice. A view that does not exist is black. An
    image of which the view is not known takes the first free half.

    Without arguments it is the paper's ResNet-18 at 256 x 256, with random weights.
    """

    outlines = False
    uses_priors = False

    def __init__(
        self,
        *,
        backbone: str = "resnet18",
        joined: Sequence[int] = (256, 256),
        widths: Sequence[int] = (32, 64, 128, 256),
        dense: int = 128,
        scale: bool = True,
        dropout: float = 0.5,
        normalisation: str = "batch",
        checkpointing: bool = False,
        n_classes: int = 3,
        pretrained: bool | str = False,
    ) -> None:
        """Build the network.

        Args:
            backbone: a timm model, or "cnn" for the paper's own: convolution, ReLU and 2x2 max-pooling, then
                fully connected layers over the flattened map (equations 1 to 6).
            joined: rows and columns of the joined image.
            widths: channels of the blocks of "cnn"; the paper's figure gives none.
            dense: units of the hidden fully connected layer of "cnn".
            scale: whether the joined image is scaled by its minimum and maximum.
            dropout: before the class layer.
            normalisation: see `ImageTrunk`, as ``checkpointing`` and ``pretrained``.

        Raises:
            UnknownNameError: unknown backbone or normalisation.
            ValueError: ``joined`` cannot be halved after the backbone's reduction.
        """
        super().__init__()
        self._config: dict[str, object] = {
            "backbone": backbone,
            "joined": list(joined),
            "widths": list(widths),
            "dense": dense,
            "scale": scale,
            "dropout": dropout,
            "normalisation": normalisation,
            "checkpointing": checkpointing,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
        }
        self.joined = (joined[0], joined[1])
        self.scale = scale
        self.trunk = ImageTrunk(
            "blocks" if backbone == "cnn" else backbone,
            widths=widths,
            pretrained=pretrained,
            normalisation=normalisation,
            checkpointing=checkpointing,
        )
        rows, columns = self.trunk.reduction, 2 * self.trunk.reduction
        if self.joined[0] % rows or self.joined[1] % columns:
            raise ValueError(
                f"the joined image of backbone '{backbone}' must have rows divisible by {rows} and columns "
                f"divisible by {columns}; got {self.joined}"
            )
        channels = self.trunk.out_channels
        self.hidden: nn.Module
        if backbone == "cnn":
            positions = self.joined[0] // rows * (self.joined[1] // rows)
            self.hidden = nn.Sequential(
                nn.Flatten(), nn.Linear(channels * positions, dense), nn.ReLU(inplace=True)
            )
            channels = dense
        else:
            self.hidden = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, n_classes)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Each image joined with a black one: the map over the black half, then that over the image."""
        joined = self.trunk(self.join(SequenceBatch.singles(image)))
        # The image's own half last: heat read off the deepest map then lies on the image.
        own, blank = joined.chunk(2, dim=3)
        return [blank, own]

    def decode(self, features: list[Tensor]) -> Tensor:
        """The map over the other half; there is nothing to outline."""
        return features[0]

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Class logits (B, 3) of the breasts, and masks that say "no lesion".

        Where views are known or there are two of a breast, the maps of `encode` are not those of the joined
        image, and it is encoded here.
        """
        if _alone_and_unknown(batch):
            joined = torch.cat([features[-1], decoded], dim=3)
        else:
            joined = self.trunk(self.join(batch))
            if features and features[-1].requires_grad:
                # A heat map asks what the class owes to each image's own map. Its value stays that of the
                # joined image; its gradient goes to the maps of the images in their halves.
                own = self._side_by_side(features[-1], batch)
                joined = joined.detach() + own - own.detach()
        logits = self.classify(self.dropout(self.hidden(joined)))
        return HybridOutput(self.no_outline(batch.images), logits.float())

    def forward(
        self, image: Tensor, sequence: Tensor | None = None, context: Tensor | None = None
    ) -> HybridOutput:
        """As `SequenceNetwork.forward`; images of any size."""
        batch = self.make_batch(image, sequence, context)
        if _alone_and_unknown(batch):
            features = self.encode(image)
            return self.read(features, self.decode(features), batch)
        return self.read([], image, batch)

    def join(self, batch: SequenceBatch) -> Tensor:
        """The joined images, (B, 1, *joined) in [0, 1], CC left of MLO; of two of a view, the later."""
        joined = self._side_by_side(batch.images.float(), batch)
        # The bilinear of a smaller size has no half-precision form on every device.
        with torch.autocast(joined.device.type, enabled=False):
            if self.scale:
                low, high = joined.amin((1, 2, 3), keepdim=True), joined.amax((1, 2, 3), keepdim=True)
                joined = (joined - low) / (high - low).clamp(min=1e-6)
            if joined.shape[-2:] != self.joined:
                joined = F.interpolate(joined, size=self.joined, mode="bilinear", antialias=True)
        return joined

    @staticmethod
    def _side_by_side(maps: Tensor, batch: SequenceBatch) -> Tensor:
        """One map an image (M, C, h, w) -> one a sequence (B, C, h, 2 w), 0 where a view is missing."""
        halves = torch.tensor(_halves(batch), device=maps.device)
        with_none = torch.cat([maps, maps.new_zeros((1, *maps.shape[1:]))])
        return torch.cat([with_none[halves[:, 0]], with_none[halves[:, 1]]], dim=3)

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)


def _alone_and_unknown(batch: SequenceBatch) -> bool:
    return batch.n_sequences == len(batch.images) and not bool(batch.context[:, [_CC, _MLO]].any())


def _halves(batch: SequenceBatch) -> list[list[int]]:
    """For each sequence the index of its CC and of its MLO image; the number of images for none."""
    missing = len(batch.images)
    halves = [[missing, missing] for _ in range(batch.n_sequences)]
    unknown: list[tuple[int, int]] = []
    # A prior may not stand for a view of the exam that is judged, unless there is nothing else.
    flags = (batch.context[:, [_CC, _MLO, _PRIOR]] > 0.5).tolist()
    for index, (breast, (cc, mlo, prior)) in enumerate(zip(batch.sequence.tolist(), flags, strict=True)):
        if prior:
            continue
        if cc or mlo:
            halves[breast][0 if cc else 1] = index
        else:
            unknown.append((breast, index))
    for breast, index in unknown:
        free = [half for half in (0, 1) if halves[breast][half] == missing]
        if free:
            halves[breast][free[0]] = index
    last = batch.lengths.cumsum(0) - 1
    for breast, index in enumerate(last.tolist()):
        if halves[breast] == [missing, missing]:
            halves[breast][0] = index
    return halves
