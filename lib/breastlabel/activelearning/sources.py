"""Where the pool's arrays come from: a model, or on a cold start the images alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import torch

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.outputs import ALL_NEEDS, PASSES, NetworkOutputs
from breastlabel.activelearning.pool import Floats
from breastlabel.errors import CheckpointError
from breastlabel.imaging import FloatArray
from breastlabel.inference import Predictor
from breastlabel.networks import HybridNetwork

__all__ = ["COLD_START", "ModelSource", "Source", "ThumbnailSource"]

COLD_START = "cold-start"
"""In the place of a model version, where there is no model."""

_THUMBNAIL = 16
_LEVELS = 16
# By how much code that computes the same settings' arrays differently is newer.
_FORMAT = 1


class Source(Protocol):
    """What is known of an image before it has a label."""

    @property
    def version(self) -> str:
        """The model's version."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the arrays depend on, JSON values."""
        ...

    def prepare(self, pixels: FloatArray) -> FloatArray:
        """Grey pixels (rows, cols) -> what `arrays` takes of one image; called in several threads."""
        ...

    def arrays(self, batch: Floats) -> dict[Need, Floats]:
        """Of (B, ...) prepared images the arrays of `PoolOutputs`."""
        ...

    def features(self, batch: Floats) -> Floats:
        """Of (B, ...) prepared images the features (B, D) alone."""
        ...


class ModelSource:
    """A checkpoint's answers and those of networks that dropout draws from it.

    Args:
        predictor: gives the checkpoint, its calibration, its threshold and the device. Its network is copied,
            so that it may go on answering in other threads.
        passes: stochastic passes, 1 or more.
        seed: of the sampled networks.
        precision: ``auto`` is bfloat16 where the device computes it in hardware.

    Raises:
        CheckpointError: the network is none whose passes can be repeated in parts.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        passes: int = PASSES,
        seed: int = 0,
        precision: Literal["auto", "bf16", "fp32"] = "auto",
    ) -> None:
        network = predictor.checkpoint.network
        if not isinstance(network, HybridNetwork):
            raise CheckpointError(
                "scoring requires a network with encode, decode and heads; this checkpoint's is a "
                f"{type(network).__name__}; score with another checkpoint"
            )
        self.version = predictor.version
        self.prepare = lambda pixels: predictor.checkpoint.preparation(pixels).image
        self.settings = {
            "format": _FORMAT,
            "passes": passes,
            "seed": seed,
            "precision": precision,
            "temperature": predictor.temperature,
            "mask_threshold": predictor.mask_threshold,
        }
        # Channels last is the faster layout of convolutions, in 32 bits too.
        own = copy.deepcopy(network).to(memory_format=torch.channels_last)
        options: dict[str, Any] = {"temperature": predictor.temperature, "precision": precision}
        self._outputs = NetworkOutputs(
            own, passes=passes, seed=seed, mask_level=predictor.mask_threshold, needs=ALL_NEEDS, **options
        )
        self._plain = NetworkOutputs(own, passes=0, needs=frozenset(), **options)

    def arrays(self, batch: Floats) -> dict[Need, Floats]:
        """All that acquisitions need: (B, H, W) -> arrays of `PoolOutputs`."""
        return self._outputs.arrays(batch)

    def features(self, batch: Floats) -> Floats:
        """What the class layer sees, without any pass: (B, H, W) -> (B, D)."""
        return self._plain.arrays(batch)[Need.FEATURES]


class ThumbnailSource:
    """What can be told without a model: how an image is laid out, and how bright it is.

    Features are the image at 16 x 16 pixels between its 1st and 99th percentile, as a deviation from its own
    mean, and beside it the histogram of its grey levels in 16 bins, weighted so that both count alike.
    So images of another organ region, depth or machine lie apart, and frames of one sweep lie together.
    """

    version = COLD_START
    settings: Mapping[str, Any] = {"format": _FORMAT, "thumbnail": _THUMBNAIL, "levels": _LEVELS}

    def prepare(self, pixels: FloatArray) -> FloatArray:
        """Grey pixels (rows, cols) in any unit -> features (D,)."""
        low, high = np.percentile(pixels, (1, 99))
        grey = np.clip((pixels - low) / max(float(high - low), 1e-12), 0.0, 1.0).astype(np.float32)
        small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
        shape = (small - small.mean()).ravel() / _THUMBNAIL
        levels, _ = np.histogram(grey, bins=_LEVELS, range=(0.0, 1.0))
        features: FloatArray = np.concatenate([shape, levels / grey.size]).astype(np.float32)
        return features

    def arrays(self, batch: Floats) -> dict[Need, Floats]:
        """The features and nothing else."""
        return {Need.FEATURES: batch}

    def features(self, batch: Floats) -> Floats:
        """They are what was prepared."""
        return batch
