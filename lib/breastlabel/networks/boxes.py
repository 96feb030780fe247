"""Boxes around lesions, read off a feature map: torchvision's RetinaNet on one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from breastlabel.errors import MissingDependencyError
from breastlabel.networks.base import BoxLogits

__all__ = ["BoxHead", "FoundBoxes"]

_RATIOS = (0.5, 1.0, 2.0)
_SCALES = (0.5, 1.0, 2.0, 4.0)


class FoundBoxes(NamedTuple):
    """The boxes found in one image, the likeliest first.

    Attributes:
        boxes: (n, 4) of (row0, col0, row1, col1), edges of pixels of the network's input.
        classes: (n,) values of ``LesionClass``, benign or malignant.
        scores: (n,) in [0, 1].
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor


class BoxHead(nn.Module):
    """Class and box at each place of a map (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017).

    Anchors of half to four times the map's stride; a lesion takes the anchors with an IoU of at least 0.5,
    and the best one where none has that, so that one smaller than the stride is learned too.
    """

    def __init__(
        self, in_channels: int, stride: int, *, width: int = 64, least_score: float = 0.05, most: int = 10
    ) -> None:
        """Build the head.

        Args:
            in_channels: of the map.
            stride: by how much the map is coarser than the image.
            width: channels that the map is reduced to before the head's eight convolutions.
            least_score: boxes with less are not found.
            most: boxes of an image.

        Raises:
            MissingDependencyError: torchvision is not installed.
        """
        super().__init__()
        try:
            from torchvision.models.detection import RetinaNet
            from torchvision.models.detection.anchor_utils import AnchorGenerator
        except ImportError as error:
            raise MissingDependencyError(
                "torchvision is required to find boxes; it is not installed; install breastlabel[timm], "
                "which brings it"
            ) from error
        self.stride = stride
        self.reduce = nn.Conv2d(in_channels, width, kernel_size=1)
        backbone: Any = nn.Identity()
        backbone.out_channels = width
        sizes = tuple(round(scale * stride) for scale in _SCALES)
        retina: Any = RetinaNet(
            backbone,
            num_classes=2,
            anchor_generator=AnchorGenerator((sizes,), (_RATIOS,)),
            score_thresh=least_score,
            nms_thresh=0.3,
            detections_per_img=most,
        )
        self.head = retina.head
        for tower in (self.head.classification_head.conv, self.head.regression_head.conv):
            for layer in tower.modules():
                if isinstance(layer, nn.Conv2d):
                    # torchvision's 0.01 is for 256 channels; through fewer nothing would come.
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        # Its anchors, matching and suppression; in a list, so that the head is a part of this module once.
        self._retina: list[Any] = [retina]

    def forward(self, features: Tensor) -> BoxLogits:
        """From a map (M, C, h, w); A = 12 h w anchors."""
        found = self.head([self.reduce(features)])
        return BoxLogits(found["cls_logits"].float(), found["bbox_regression"].float())

    def loss(self, logits: BoxLogits, size: tuple[int, int], truth: Sequence[tuple[Tensor, int]]) -> Tensor:
        """Focal loss of the classes + L1 of the boxes, the mean over M images.

        Args:
            size: rows and columns of the images.
            truth: of each image its lesions' boxes (n, 4) as in `FoundBoxes`, and their ``LesionClass``.
        """
        device = logits.classes.device
        targets = [
            {
                "boxes": _turned(boxes.to(device)),
                "labels": torch.full((len(boxes),), kind - 1, dtype=torch.int64, device=device),
            }
            for boxes, kind in truth
        ]
        outputs = {"cls_logits": logits.classes, "bbox_regression": logits.offsets}
        anchors = [self._anchors(size, device)] * len(truth)
        parts: dict[str, Tensor] = self._retina[0].compute_loss(targets, outputs, anchors)
        return parts["classification"] + parts["bbox_regression"]

    @torch.inference_mode()
    def found(self, logits: BoxLogits, size: tuple[int, int]) -> list[FoundBoxes]:
        """The boxes of each of M images of ``size`` (rows, columns), overlapping ones suppressed."""
        anchors = self._anchors(size, logits.classes.device)
        detections = self._retina[0].postprocess_detections(
            {"cls_logits": [logits.classes], "bbox_regression": [logits.offsets]},
            [[anchors]] * len(logits.classes),
            [size] * len(logits.classes),
        )
        return [FoundBoxes(_turned(d["boxes"]), d["labels"] + 1, d["scores"]) for d in detections]

    def _anchors(self, size: tuple[int, int], device: torch.device) -> Tensor:
        from torchvision.models.detection.image_list import ImageList

        image = torch.empty((1, 1, *size), device=device)
        coarse = image.new_empty((1, 1, size[0] // self.stride, size[1] // self.stride))
        anchors: Tensor = self._retina[0].anchor_generator(ImageList(image, [size]), [coarse])[0]
        return anchors


def _turned(boxes: Tensor) -> Tensor:
    """(row0, col0, row1, col1) to torchvision's (x0, y0, x1, y1), and back."""
    return boxes[:, [1, 0, 3, 2]]
