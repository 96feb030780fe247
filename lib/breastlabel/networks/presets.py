"""Named sets of arguments that have been measured."""

from __future__ import annotations

from typing import Any

__all__ = ["EFFICIENT_MAMMOGRAPHY", "EFFICIENT_ULTRASOUND"]

EFFICIENT_ULTRASOUND: dict[str, Any] = {
    "widths": (32, 64, 128, 192, 256),
    "convs_per_block": 2,
    "residual": True,
    "stem_stride": 2,
    "pool_last": False,
    "decoder_widths": (128, 96, 48, 32),
    "mask_pooling": True,
}
"""Arguments of ``UltrasoundHybrid`` for CPUs: deeper than the paper's, with the full resolution left out."""

EFFICIENT_MAMMOGRAPHY: dict[str, Any] = {
    "widths": (16, 32, 64, 128, 192),
    "convs_per_block": 2,
    "residual": True,
    "stem_stride": 2,
    "pool_last": False,
    "decoder_widths": (96, 64, 32, 16),
    "recurrent_hidden": 64,
    "shortcut": True,
}
"""Arguments of ``MammographyHybrid`` for CPUs: small lesions need the depth, not the full resolution."""
