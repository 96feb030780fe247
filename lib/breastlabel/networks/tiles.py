"""Outlines at full resolution, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from breastlabel.errors import InvalidImageError
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.blocks import BlockEncoder, ConvBlock
from breastlabel.networks.decoder import UNetDecoder

__all__ = ["reach_of", "tiled_mask_logits"]


@torch.inference_mode()
def tiled_mask_logits(
    network: HybridNetwork, image: Tensor, *, tile: tuple[int, int] = (512, 512), overlap: int = 64
) -> Tensor:
    """Mask logits of an image of any size divisible by the network's stride, in the memory of one tile.

    Each tile is answered with ``overlap`` pixels around it, and only the tile itself is kept. Where that
    is the network's reach (`reach_of`) or more, that is the answer for the whole image; with less, only a
    pixel's far surroundings are missing. The class is not for tiles: it pools the whole image.

    Args:
        network: in eval mode, its outline local (no sweeps over the image).
        image: (B, 1, H, W) in [0, 1].
        tile: (rows, cols) kept of each tile, rounded up to the network's stride.
        overlap: pixels around it, rounded up to the stride.

    Returns:
        (B, 1, H, W), float32.

    Raises:
        InvalidImageError: the network cannot take images of this shape.
        ValueError: tile or overlap below what makes sense.
    """
    if min(tile) < 1 or overlap < 0:
        raise ValueError(f"tile must be at least 1 and overlap at least 0; got {tile} and {overlap}")
    network.check_input(image)
    height, width = image.shape[-2:]
    stride = network.stride
    rows, cols, margin = (-(-length // stride) * stride for length in (*tile, overlap))
    logits = torch.empty((len(image), 1, height, width), dtype=torch.float32, device=image.device)
    for top, bottom, first_row, last_row in _spans(height, rows, margin):
        for left, right, first_col, last_col in _spans(width, cols, margin):
            answer = network(image[..., first_row:last_row, first_col:last_col]).mask_logits
            logits[..., top:bottom, left:right] = answer[
                ..., top - first_row : bottom - first_row, left - first_col : right - first_col
            ]
    return logits


def reach_of(network: HybridNetwork) -> int:
    """How many pixels away the image can still change a mask logit, at most.

    Raises:
        InvalidImageError: the network is not a block encoder with a U-Net decoder; its reach is not known.
    """
    encoder, decoder = getattr(network, "encoder", None), getattr(network, "decoder", None)
    if not isinstance(encoder, BlockEncoder) or not isinstance(decoder, UNetDecoder):
        raise InvalidImageError(
            f"the reach of a block encoder with a U-Net decoder is known; got {type(network).__name__}; "
            "choose the overlap by comparing with the whole image"
        )
    reach, deepest = 0, encoder.reductions[-1]
    for block, reduction in zip(encoder.blocks, encoder.reductions, strict=False):
        # Each 3x3 convolution one position of its map, the pooling or striding before it one more.
        reach += (len(_block(block).convs) + 1) * reduction
    reach += deepest
    for step, reduction in zip(decoder.steps, reversed(encoder.reductions[:-1]), strict=True):
        # The upsampled map is coarser by two: one of its positions.
        reach += len(_block(step).convs) * reduction + 2 * reduction
    # The bilinear way from a coarser outline to the image.
    return reach + encoder.reductions[0]


def _block(module: torch.nn.Module) -> ConvBlock:
    if not isinstance(module, ConvBlock):
        raise TypeError(f"a ConvBlock is required; got {type(module).__name__}")
    return module


def _spans(length: int, tile: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, end) of each tile along an axis, and of what is shown to the network for it."""
    for start in range(0, length, tile):
        end = min(length, start + tile)
        yield start, end, max(0, start - margin), min(length, end + margin)
