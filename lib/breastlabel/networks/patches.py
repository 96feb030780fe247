"""P3's patch classifier: trained on annotated regions, its weights start the whole-image model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from breastlabel.errors import CheckpointError
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.screening import BranchedTrunk, ScreeningNet
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork

__all__ = ["PatchNet", "load_patch_weights", "patch_network_for"]

_TRUNK = ("cnn", "backbone", "widths", "normalisation")


class PatchNet(SequenceNetwork):
    """Class of a small piece of a mammogram; P3, "Introduction", after Shen et al. 2019.

    The branches are `ScreeningNet`'s; behind them there is pooling and one layer. Normal tissue is a class
    like the others, so that patches beside lesions teach as well.
    """

    outlines = False
    uses_views = False
    uses_priors = False

    def __init__(
        self,
        *,
        cnn: Sequence[int] | None = (32, 64, 128, 256),
        backbone: str | None = "resnet50",
        widths: Sequence[int] = (32, 64, 128, 256),
        dropout: float = 0.5,
        normalisation: str = "batch",
        checkpointing: bool = False,
        n_classes: int = 3,
        pretrained: bool | str = False,
    ) -> None:
        """Args as `ScreeningNet`'s."""
        super().__init__()
        self._config: dict[str, object] = {
            "cnn": list(cnn) if cnn else None,
            "backbone": backbone,
            "widths": list(widths),
            "dropout": dropout,
            "normalisation": normalisation,
            "checkpointing": checkpointing,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
        }
        self.trunk = BranchedTrunk(
            cnn=cnn,
            backbone=backbone,
            widths=widths,
            pretrained=pretrained,
            normalisation=normalisation,
            checkpointing=checkpointing,
        )
        self.stride = self.trunk.reduction
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(2 * self.trunk.out_channels, n_classes)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def encode(self, image: Tensor) -> list[Tensor]:
        """One map, with the channels of both branches."""
        return [self.trunk(image)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """The deepest map itself; there is nothing to outline."""
        return features[-1]

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Class logits (B, 3) of each sequence's last patch, and masks that say "no lesion"."""
        deepest = features[-1][batch.lengths.cumsum(0) - 1]
        pooled = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1)
        logits = self.classify(self.dropout(pooled.float()))
        return HybridOutput(self.no_outline(batch.images), logits.float())

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)


def patch_network_for(screening: ScreeningNet) -> PatchNet:
    """A patch network whose weights fit the screening network; it starts from that one's."""
    arguments = {name: screening.config()[name] for name in (*_TRUNK, "checkpointing", "n_classes")}
    patch = PatchNet(**arguments)  # type: ignore[arg-type]
    patch.trunk.load_state_dict(screening.trunk.state_dict())
    return patch


def load_patch_weights(screening: ScreeningNet, patch: PatchNet) -> None:
    """Start the screening network's branches from the patch network's, running statistics included.

    Raises:
        CheckpointError: the two do not have the same branches.
    """
    ours, theirs = screening.config(), patch.config()
    for name in _TRUNK:
        if ours[name] != theirs[name]:
            raise CheckpointError(
                f"the patch network must have the screening network's branches ({name}={ours[name]}); its "
                f"{name} is {theirs[name]}; build it with patch_network_for"
            )
    screening.trunk.load_state_dict(patch.trunk.state_dict())
