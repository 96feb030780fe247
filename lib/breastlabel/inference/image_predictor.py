"""From one image to its mask and class, for networks that look at nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from breastlabel.errors import CheckpointError
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference import uncertainty
from breastlabel.inference.asked import Asked, require_analysable
from breastlabel.inference.gradcam import class_heat_map, unit_heat
from breastlabel.inference.loading import CheckpointLike, lock_of
from breastlabel.inference.passes import augmented_pass, dropout_passes
from breastlabel.inference.prediction import Prediction, decide
from breastlabel.inference.readout import Readout, by_class
from breastlabel.networks import HybridNetwork
from breastlabel.transforms.prepared import Prepared

__all__ = ["ImagePredictor"]


class ImagePredictor:
    """`Predictor.predict` for networks that look at one image, a batch at a time."""

    def __init__(
        self,
        network: nn.Module,
        checkpoint: CheckpointLike,
        readout: Readout,
        views: Sequence[str],
        device: torch.device,
    ) -> None:
        self._network = network
        self._checkpoint = checkpoint
        self._readout = readout
        self._views = views
        self._device = device
        self._lock = lock_of(network)

    def __call__(self, images: Sequence[BreastImage], asked: Asked) -> list[Prediction]:
        """The answer for each image; see `Predictor.predict`."""
        for image in images:
            require_analysable(image)
        prepared = [self._checkpoint.preparation(image.pixels) for image in images]
        stacked = np.stack([np.asarray(p.image, dtype=np.float32) for p in prepared])
        inputs = torch.from_numpy(stacked)[:, None].to(self._device)
        with self._lock:
            answer = augmented_pass(self._network, inputs, views=self._views)
        probabilities = torch.sigmoid(answer.mask_logits[:, 0]).cpu().numpy()
        classes = self._readout.probabilities(answer.class_logits.cpu().numpy())
        return [
            self._finish(image, p, inputs[i : i + 1], probabilities[i], classes[i], asked)
            for i, (image, p) in enumerate(zip(images, prepared, strict=True))
        ]

    def _finish(
        self,
        image: BreastImage,
        prepared: Prepared,
        inputs: Tensor,
        probability: FloatArray,
        classes: np.ndarray[Any, np.dtype[np.float64]],
        asked: Asked,
    ) -> Prediction:
        """From the network's answer on the prepared image to the answer on the image."""
        readout = self._readout
        lesion = readout.refined(prepared.geometry.restore(probability[None])[0], image.pixels)
        probabilities = by_class(classes)
        mask, predicted = decide(
            readout.region(lesion), probabilities, normal_threshold=readout.normal_threshold
        )
        scores, deviation = self._uncertainty(inputs, prepared, asked)
        explained = asked.explain_class if asked.explain_class is not None else predicted
        return Prediction(
            mask=mask,
            lesion_probability=lesion,
            class_probabilities=probabilities,
            malignancy_probability=probabilities["malignant"],
            predicted=predicted,
            checkpoint_version=self._checkpoint.version,
            uncertainty=scores,
            lesion_deviation=deviation,
            heat_map=self._heat(inputs, prepared, explained) if asked.explain else None,
            explained=explained if asked.explain else None,
            above_operating_point=readout.above_operating_point(probabilities["malignant"]),
        )

    def _uncertainty(
        self, inputs: Tensor, prepared: Prepared, asked: Asked
    ) -> tuple[dict[str, float] | None, FloatArray | None]:
        if asked.passes <= 0:
            return None, None
        network = self._staged("uncertainty")
        with self._lock:
            answer = dropout_passes(network, inputs, n=asked.passes, seed=asked.seed)
        masks = torch.sigmoid(answer.mask_logits[:, 0]).cpu().numpy()
        scores = {
            **uncertainty.class_scores(self._readout.probabilities(answer.class_logits.cpu().numpy())),
            "mask_disagreement": uncertainty.mask_disagreement(masks, level=self._readout.mask_threshold),
            "passes": float(asked.passes),
        }
        deviation = masks.std(axis=0).astype(np.float32)
        return scores, np.maximum(prepared.geometry.restore(deviation[None])[0], 0.0)

    def _heat(self, inputs: Tensor, prepared: Prepared, explained: LesionClass) -> FloatArray:
        network = self._staged("a heat map")
        with self._lock:
            heat = class_heat_map(network, inputs, int(explained))
        return unit_heat(prepared.geometry.restore(heat[None])[0])

    def _staged(self, purpose: str) -> HybridNetwork:
        if not isinstance(self._network, HybridNetwork):
            raise CheckpointError(
                f"{purpose} requires a network with encode, decode and heads; this checkpoint's is a "
                f"{type(self._network).__name__}; ask for the mask and the class only"
            )
        return self._network
