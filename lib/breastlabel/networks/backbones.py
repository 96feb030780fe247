"""Any timm backbone as an encoder."""

from __future__ import annotations

import difflib
import logging
from typing import Any

from torch import Tensor, nn

from breastlabel.errors import MissingDependencyError, UnknownNameError

__all__ = ["TimmEncoder"]

logger = logging.getLogger(__name__)


class TimmEncoder(nn.Module):
    """A timm model's feature maps; same attributes as :class:`~breastlabel.networks.blocks.BlockEncoder`.

    Attributes:
        out_channels: channels of the maps it returns, finest first.
        reductions: by how much each is coarser than the input.
    """

    def __init__(self, name: str, in_channels: int, *, pretrained: bool | str = False) -> None:
        """Build the backbone.

        Args:
            name: as ``timm.list_models()`` has it.
            pretrained: True fetches timm's weights; a path reads them from a file (.safetensors).
                Where they cannot be had, random weights are used and a warning says so.

        Raises:
            MissingDependencyError: timm is not installed.
            UnknownNameError: timm has no model of that name.
        """
        super().__init__()
        timm = _timm()
        known = timm.list_models()
        if name.split(".")[0] not in known:
            near = difflib.get_close_matches(name, known, n=5)
            raise UnknownNameError("encoder", name, ["blocks", *(near or ["a name of timm.list_models()"])])
        self.backbone = _build(timm, name, in_channels, pretrained)
        info = self.backbone.feature_info
        self.out_channels: tuple[int, ...] = tuple(info.channels())
        self.reductions: tuple[int, ...] = tuple(info.reduction())

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> feature maps, finest first."""
        features: list[Tensor] = self.backbone(x)
        return features


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError(
            "an encoder other than 'blocks' needs timm, which is not installed; "
            "run: pip install 'breastlabel[timm]'"
        ) from error
    return timm


def _build(timm: Any, name: str, in_channels: int, pretrained: bool | str) -> Any:
    arguments: dict[str, Any] = {"features_only": True, "in_chans": in_channels}
    if not pretrained:
        return timm.create_model(name, pretrained=False, **arguments)
    if isinstance(pretrained, str):
        arguments["pretrained_cfg_overlay"] = {"file": pretrained}
    try:
        return timm.create_model(name, pretrained=True, **arguments)
    # Whatever the hub, the network or the file system raise, the answer is the same.
    except Exception as error:
        logger.warning(
            "Pretrained weights of %s cannot be read (%s); it starts from random weights instead. "
            "Give a .safetensors file, or run where the internet can be reached.",
            name,
            type(error).__name__,
        )
        return timm.create_model(name, pretrained=False, **arguments)
