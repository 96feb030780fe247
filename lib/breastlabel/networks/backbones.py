"""Any timm backbone as an encoder."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from breastlabel.errors import (
    CheckpointError,
    InvalidImageError,
    MissingDependencyError,
    NotFoundError,
    UnknownNameError,
)
from breastlabel.networks.checkpointing import run_checkpointed

__all__ = ["TimmEncoder"]

logger = logging.getLogger(__name__)


class TimmEncoder(nn.Module):
    """A timm model's feature maps; same attributes as :class:`~breastlabel.networks.blocks.BlockEncoder`.

    Attributes:
        out_channels: channels of the maps it returns, finest first.
        reductions: by how much each is coarser than the input.
        checkpointing: whether the backbone is computed again for the gradient, to save memory.
    """

    def __init__(self, name: str, in_channels: int, *, pretrained: bool | str = False) -> None:
        """Build the backbone.

        Args:
            name: as ``timm.list_models()`` has it.
            pretrained: True fetches timm's weights, and where they cannot be had uses random ones
                and says so in a warning; a path reads timm's whole model from a .safetensors file.

        Raises:
            MissingDependencyError: timm is not installed.
            UnknownNameError: timm has no model of that name.
            NotFoundError: there is no such weights file.
            CheckpointError: the weights file is another model's, or not .safetensors.
        """
        super().__init__()
        timm = _timm()
        known = timm.list_models()
        if name.split(".")[0] not in known:
            near = difflib.get_close_matches(name, known, n=5)
            raise UnknownNameError("encoder", name, ["blocks", *(near or ["a name of timm.list_models()"])])
        self.backbone = _build(timm, name, in_channels, pretrained)
        self.name = name
        self.checkpointing = False
        # Some transformers keep channels last.
        self._channels_last = str(getattr(self.backbone, "output_fmt", "NCHW")).endswith("NHWC")
        info = self.backbone.feature_info
        self.out_channels: tuple[int, ...] = tuple(info.channels())
        self.reductions: tuple[int, ...] = tuple(info.reduction())

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> feature maps (B, C, h, w), finest first."""
        try:
            run = run_checkpointed(self.backbone, x) if self.checkpointing else self.backbone(x)
            features: list[Tensor] = list(run)
        except AssertionError as error:
            # Window transformers take multiples of their window only, and say so by an assertion.
            size = tuple(self.backbone.pretrained_cfg["input_size"][-2:])
            raise InvalidImageError(
                f"encoder '{self.name}' cannot run on images of {tuple(x.shape[-2:])} ({error}); "
                f"prepare them at its own size {size}"
            ) from error
        return [f.permute(0, 3, 1, 2) for f in features] if self._channels_last else features


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
        return _from_file(timm, name, Path(pretrained), arguments)
    try:
        return timm.create_model(name, pretrained=True, **arguments)
    # Whatever the hub, the network or the file system raise, the answer is the same.
    except Exception as error:
        logger.warning(
            "Pretrained weights of %s cannot be had (%s); it starts from random weights instead. "
            "Give a .safetensors file, or run where the internet can be reached.",
            name,
            type(error).__name__,
        )
        return timm.create_model(name, pretrained=False, **arguments)


def _from_file(timm: Any, name: str, file: Path, arguments: dict[str, Any]) -> Any:
    if file.suffix != ".safetensors":
        raise CheckpointError(
            f"pretrained weights must be a .safetensors file; got '{file.name}'; convert them first"
        )
    if not file.is_file():
        raise NotFoundError(f"a file of pretrained weights is required; '{file.name}' does not exist")
    try:
        return timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **arguments
        )
    except Exception as error:
        raise CheckpointError(
            f"'{file.name}' must hold timm's weights of '{name}'; reading it failed "
            f"({type(error).__name__}); give that model's file, or name its encoder"
        ) from error
