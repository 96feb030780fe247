"""A checkpoint that answers: image in, mask, class, uncertainty and heat map out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from breastlabel.errors import BreastLabelError, CheckpointError
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference import uncertainty
from breastlabel.inference.calibration import apply_temperature
from breastlabel.inference.gradcam import class_heat_map, unit_heat
from breastlabel.inference.morphology import BoolArray, clean_mask, threshold
from breastlabel.inference.passes import augmented_pass, check_augmentations, dropout_passes
from breastlabel.inference.prediction import Prediction, decide
from breastlabel.inference.superpixels import refine
from breastlabel.networks import HybridNetwork
from breastlabel.transforms.ultrasound import Prepared

__all__ = ["CheckpointLike", "Predictor"]

_MIN_AREA_FRACTION = 0.001
_LOCKS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()
_LOCKS_GUARD = threading.Lock()


class CheckpointLike(Protocol):
    """What a predictor needs of a checkpoint; `breastlabel.training.Checkpoint` has it."""

    @property
    def network(self) -> nn.Module:
        """In evaluation mode."""
        ...

    @property
    def preparation(self) -> Any:
        """Pixels (rows, cols) -> Prepared."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """``calibration``, ``thresholds`` and ``inference`` are read here."""
        ...

    @property
    def version(self) -> str:
        """Named in every answer."""
        ...


class Predictor:
    """Predict lesions with one checkpoint: prepare, forward, calibrate, restore, refine, decide.

    Everything it does is what the checkpoint says: the preparation, ``calibration.temperature``,
    ``thresholds`` (``mask`` 0.5, ``normal`` 0.5, ``min_area_fraction`` 0.001 of the image) and
    ``inference`` (``superpixels`` false, ``superpixel_options`` {}, ``tta`` [], ``largest_only`` false),
    each with the value here where it says nothing. `breastlabel.inference.prediction.decide` states how
    outline and class are made to agree.

    Predictors may be shared by threads, and a checkpoint by predictors on one device: a network runs in
    one thread at a time, because its dropout is switched on and off; the rest goes in parallel.
    """

    def __init__(
        self,
        checkpoint: Path | str | CheckpointLike,
        *,
        device: str | torch.device | None = None,
        superpixels: bool | None = None,
        tta: Sequence[str] | bool | None = None,
    ) -> None:
        """Args:
            checkpoint: loaded, or the folder to load it from.
            device: a GPU where there is one, if None.
            superpixels: whether SLIC superpixels refine the mask; as the checkpoint says, if None.
            tta: names of flips averaged with the image itself, False for none; as the checkpoint says,
                if None (or True).

        Raises:
            CheckpointError: the folder is no usable checkpoint.
            UnknownNameError: an unknown flip.
        """
        loaded = _load(checkpoint)
        spec = loaded.spec
        thresholds = dict(spec.get("thresholds", {}))
        inference = dict(spec.get("inference", {}))
        self.checkpoint = loaded
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.superpixels = bool(inference.get("superpixels", False)) if superpixels is None else superpixels
        self.superpixel_options = dict(inference.get("superpixel_options", {}))
        self.temperature = float(spec.get("calibration", {}).get("temperature", 1.0))
        self.mask_threshold = float(thresholds.get("mask", 0.5))
        self.normal_threshold = float(thresholds.get("normal", 0.5))
        self.min_area_fraction = float(thresholds.get("min_area_fraction", _MIN_AREA_FRACTION))
        self.largest_only = bool(inference.get("largest_only", False))
        views = inference.get("tta", []) if tta is None or tta is True else tta
        self.views = check_augmentations(() if views is False else tuple(views))
        self._network = loaded.network.to(self.device).eval()
        self._lock = _lock_of(self._network)

    @property
    def version(self) -> str:
        """The checkpoint's version."""
        return self.checkpoint.version

    def predict(
        self,
        image: BreastImage,
        *,
        uncertainty_passes: int = 0,
        explain: bool = False,
        explain_class: LesionClass | None = None,
        seed: int = 0,
    ) -> Prediction:
        """Outline and classify one image.

        Args:
            image: of any size; the answer has the same size.
            uncertainty_passes: stochastic passes (dropout) for the uncertainty; 0 for none. They never
                change the mask and the probabilities.
            explain: whether to make a heat map, for the predicted class.
            explain_class: make it for this class instead.
            seed: of the stochastic passes.

        Raises:
            InvalidImageError: the preparation or the network cannot take the image.
        """
        options = _Options(uncertainty_passes, explain or explain_class is not None, explain_class, seed)
        return self._predict_batch([image], options)[0]

    def predict_many(
        self,
        images: Iterable[BreastImage],
        *,
        batch_size: int = 8,
        uncertainty_passes: int = 0,
        explain: bool = False,
        seed: int = 0,
        progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_error: Callable[[int, BreastLabelError], None] | None = None,
    ) -> Iterator[tuple[int, Prediction]]:
        """Predict a stream of images, ``batch_size`` at a time, so that memory stays flat.

        Args:
            images: drawn as they are needed.
            progress: called with the number of images done so far, after each batch.
            should_stop: asked before each batch; true ends the stream.
            on_error: called with an image's position and what is wrong with it; the rest goes on. The
                error is raised where this is None.

        Yields:
            (position in ``images``, prediction), in order. Equal to those of `predict`.
        """
        options = _Options(uncertainty_passes, explain, None, seed)
        stream = enumerate(images)
        done = 0
        while not (should_stop is not None and should_stop()):
            batch = list(islice(stream, max(1, batch_size)))
            if not batch:
                return
            yield from self._predict_each(batch, options, on_error)
            done += len(batch)
            if progress is not None:
                progress(done)

    def _predict_each(
        self,
        batch: list[tuple[int, BreastImage]],
        options: _Options,
        on_error: Callable[[int, BreastLabelError], None] | None,
    ) -> Iterator[tuple[int, Prediction]]:
        try:
            predictions = self._predict_batch([image for _, image in batch], options)
        except BreastLabelError as error:
            if on_error is None:
                raise
            if len(batch) == 1:
                on_error(batch[0][0], error)
                return
            for item in batch:
                yield from self._predict_each([item], options, on_error)
            return
        yield from zip((index for index, _ in batch), predictions, strict=True)

    def _predict_batch(self, images: Sequence[BreastImage], options: _Options) -> list[Prediction]:
        prepared = [self.checkpoint.preparation(image.pixels) for image in images]
        stacked = np.stack([np.asarray(p.image, dtype=np.float32) for p in prepared])
        inputs = torch.from_numpy(stacked)[:, None].to(self.device)
        with self._lock:
            answer = augmented_pass(self._network, inputs, views=self.views)
        probabilities = torch.sigmoid(answer.mask_logits[:, 0]).cpu().numpy()
        classes = apply_temperature(answer.class_logits.cpu().numpy(), self.temperature)
        return [
            self._finish(image, p, inputs[i : i + 1], probabilities[i], classes[i], options)
            for i, (image, p) in enumerate(zip(images, prepared, strict=True))
        ]

    def _finish(
        self,
        image: BreastImage,
        prepared: Prepared,
        inputs: Tensor,
        probability: FloatArray,
        classes: np.ndarray[Any, np.dtype[np.float64]],
        options: _Options,
    ) -> Prediction:
        """From the network's answer on the prepared image to the answer on the image."""
        lesion = np.clip(prepared.geometry.restore(probability[None])[0], 0.0, 1.0)
        if self.superpixels:
            lesion = refine(lesion, image.pixels, **self.superpixel_options)
        by_class = {c.label: float(classes[c]) for c in LesionClass}
        mask, predicted = decide(self._region(lesion), by_class, normal_threshold=self.normal_threshold)
        scores, deviation = self._uncertainty(inputs, prepared, options)
        explained = options.explain_class if options.explain_class is not None else predicted
        return Prediction(
            mask=mask,
            lesion_probability=lesion,
            class_probabilities=by_class,
            malignancy_probability=by_class["malignant"],
            predicted=predicted,
            checkpoint_version=self.version,
            uncertainty=scores,
            lesion_deviation=deviation,
            heat_map=self._heat(inputs, prepared, explained) if options.explain else None,
            explained=explained if options.explain else None,
        )

    def _region(self, lesion: FloatArray) -> BoolArray:
        # One pixel in 200: about the size of a pixel of the prepared image, on an image of any size.
        radius = round(min(lesion.shape) / 200)
        return clean_mask(
            threshold(lesion, self.mask_threshold),
            radius=radius,
            min_area_fraction=self.min_area_fraction,
            largest_only=self.largest_only,
        )

    def _uncertainty(
        self, inputs: Tensor, prepared: Prepared, options: _Options
    ) -> tuple[dict[str, float] | None, FloatArray | None]:
        if options.passes <= 0:
            return None, None
        network = self._staged("uncertainty")
        with self._lock:
            answer = dropout_passes(network, inputs, n=options.passes, seed=options.seed)
        classes = apply_temperature(answer.class_logits.cpu().numpy(), self.temperature)
        masks = torch.sigmoid(answer.mask_logits[:, 0]).cpu().numpy()
        scores = {
            "class_entropy": float(uncertainty.predictive_entropy(classes)),
            "mutual_information": float(uncertainty.mutual_information(classes)),
            "variation_ratio": float(uncertainty.variation_ratio(classes)),
            "mask_disagreement": uncertainty.mask_disagreement(masks, level=self.mask_threshold),
            "passes": float(options.passes),
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


class _Options(NamedTuple):
    """What was asked for beside mask and class."""

    passes: int
    explain: bool
    explain_class: LesionClass | None
    seed: int


def _lock_of(network: nn.Module) -> threading.Lock:
    with _LOCKS_GUARD:
        return _LOCKS.setdefault(network, threading.Lock())


def _load(checkpoint: Path | str | CheckpointLike) -> CheckpointLike:
    if not isinstance(checkpoint, (str, Path)):
        return checkpoint
    # Training uses this package's calibration, so it is imported only where it is needed.
    from breastlabel.training.checkpoint import load_checkpoint

    return load_checkpoint(Path(checkpoint))
