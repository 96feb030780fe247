"""P3's screening model: a CNN and ResNet-50 on each image, a recurrent network over a breast's images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.networks.aggregation import create_aggregation
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.boxes import BoxHead
from breastlabel.networks.heads import InvasiveHead
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.networks.trunk import ImageTrunk

__all__ = ["BranchedTrunk", "ScreeningNet"]


class BranchedTrunk(nn.Module):
    """The small CNN and the backbone side by side: images -> one map with the channels of both.

    Attributes:
        out_channels: channels of that map.
        reduction: rows and columns of the image must be divisible by it.
    """

    def __init__(
        self,
        *,
        cnn: Sequence[int] | None,
        backbone: str | None,
        widths: Sequence[int],
        pretrained: bool | str,
        normalisation: str,
        checkpointing: bool,
    ) -> None:
        """Args as `ScreeningNet`'s."""
        super().__init__()
        if not cnn and backbone is None:
            raise UnknownNameError("backbone of a network without a CNN", backbone, ["blocks", "resnet50"])
        branches = []
        if cnn:
            branches.append(
                ImageTrunk("blocks", widths=cnn, normalisation=normalisation, checkpointing=checkpointing)
            )
        if backbone is not None:
            branches.append(
                ImageTrunk(
                    backbone,
                    widths=widths,
                    pretrained=pretrained,
                    normalisation=normalisation,
                    checkpointing=checkpointing,
                )
            )
        self.branches = nn.ModuleList(branches)
        self.out_channels = sum(branch.out_channels for branch in branches)
        self.reduction = max(branch.reduction for branch in branches)

    def forward(self, image: Tensor) -> Tensor:
        """(M, 1, H, W) -> (M, C, h, w), as coarse as the coarsest branch."""
        maps: list[Tensor] = [branch(image) for branch in self.branches]
        rows, columns = min(((m.shape[2], m.shape[3]) for m in maps), key=lambda shape: shape[0] * shape[1])
        return torch.cat([F.adaptive_avg_pool2d(m, (rows, columns)) for m in maps], dim=1)


class ScreeningNet(SequenceNetwork):
    """Class of a breast from its images, the older ones too, and what the table says of them; P3, figure 4.

    Every image goes through a small CNN and through ResNet-50, in parallel; both are pooled and put beside
    the image's context (age, density, implant, machine, view), and a recurrent network reads the images in
    their order. `breastlabel.networks.patches` trains the two branches on annotated regions first.

    Without arguments it is the paper's, with random weights; the numbers of layers and units are not in the
    paper. With one branch only, and without recurrence, it is what the paper's table compares with.
    """

    outlines = False

    def __init__(
        self,
        *,
        cnn: Sequence[int] | None = (32, 64, 128, 256),
        backbone: str | None = "resnet50",
        widths: Sequence[int] = (32, 64, 128, 256),
        recurrence: str | None = "lstm",
        hidden: int = 256,
        features: int = 256,
        dropout: float = 0.5,
        normalisation: str = "batch",
        checkpointing: bool = False,
        n_classes: int = 3,
        pretrained: bool | str = False,
        invasive: bool = False,
        boxes: bool = False,
    ) -> None:
        """Build the network.

        Args:
            cnn: channels of the small CNN's blocks; None or empty for none.
            backbone: a timm model (resnet50, efficientnet_b0, maxvit_nano_rw_256), "blocks" for a small one
                of ours, or None for none.
            widths: channels of the blocks of "blocks".
            recurrence: a name of `breastlabel.networks.aggregation.AGGREGATIONS`, "mean" among them; None is
                the newest image alone.
            hidden: units of the recurrence.
            features: numbers that an image's pooled maps are reduced to before the recurrence.
            dropout: before the class layer.
            normalisation: see `ImageTrunk`, as ``checkpointing`` and ``pretrained``.
            invasive: whether it also tells invasive cancers from those in situ.
            boxes: whether it also draws boxes around the lesions of each image, read off the deepest map.

        Raises:
            UnknownNameError: unknown backbone, recurrence or normalisation, or neither CNN nor backbone.
            MissingDependencyError: boxes without torchvision.
        """
        super().__init__()
        self._config: dict[str, object] = {
            "cnn": list(cnn) if cnn else None,
            "backbone": backbone,
            "widths": list(widths),
            "recurrence": recurrence,
            "hidden": hidden,
            "features": features,
            "dropout": dropout,
            "normalisation": normalisation,
            "checkpointing": checkpointing,
            "n_classes": n_classes,
            # Whoever rebuilds the network from this has its weights, and needs no download.
            "pretrained": False,
            "invasive": invasive,
            "boxes": boxes,
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
        self.reduce = nn.Sequential(nn.Linear(2 * self.trunk.out_channels, features), nn.ReLU(inplace=True))
        self.aggregation = create_aggregation(recurrence, features + CONTEXT_SIZE, hidden)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.aggregation.out_features, n_classes)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)
        self.invasive = InvasiveHead(self.aggregation.out_features) if invasive else None
        self.answers_invasive = invasive
        self.boxes = BoxHead(self.trunk.out_channels, self.stride) if boxes else None
        self.finds_boxes = boxes

    def leave_out_invasive(self) -> None:
        """Take the head away that tells invasive cancers; the rest stays as it is."""
        self.invasive, self.answers_invasive = None, False
        self._config["invasive"] = False

    def leave_out_boxes(self) -> None:
        """Take the head away that draws boxes; the rest stays as it is."""
        self.boxes, self.finds_boxes = None, False
        self._config["boxes"] = False

    def encode(self, image: Tensor) -> list[Tensor]:
        """One map, with the channels of both branches."""
        return [self.trunk(image)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """The deepest map itself; there is nothing to outline."""
        return features[-1]

    def read(self, features: list[Tensor], decoded: Tensor, batch: SequenceBatch) -> HybridOutput:
        """Class logits (B, 3) of the breasts, what else is asked, and masks that say "no lesion"."""
        deepest = features[-1]
        pooled = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1)
        described = torch.cat([self.reduce(pooled).float(), batch.context.float()], dim=1)
        breast = self.dropout(self.aggregation(described, batch))
        invasive = None if self.invasive is None else self.invasive(breast)
        boxes = None if self.boxes is None else self.boxes(deepest)
        return HybridOutput(self.no_outline(batch.images), self.classify(breast).float(), invasive, boxes)

    def config(self) -> dict[str, object]:
        """The constructor's arguments as JSON values; ``pretrained`` is False, see there."""
        return dict(self._config)
