"""From the images of one breast to one class, and an outline in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from breastlabel.errors import CheckpointError, InvalidImageError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference import uncertainty
from breastlabel.inference.asked import Asked, require_analysable
from breastlabel.inference.loading import CheckpointLike, lock_of
from breastlabel.inference.prediction import LesionBox, Prediction
from breastlabel.inference.preparing import Prepare, prepare_now
from breastlabel.inference.readout import Readout, by_class
from breastlabel.inference.sequence_passes import (
    sequence_dropout_passes,
    sequence_heat_maps,
    sequence_pass,
)
from breastlabel.inference.sequence_prediction import SequencePrediction, decide_breast, paint
from breastlabel.inference.stages import Stages
from breastlabel.networks import HybridOutput
from breastlabel.networks.boxes import BoxHead, FoundBoxes
from breastlabel.networks.sequences import SequenceBatch, SequenceNetwork
from breastlabel.transforms.geometry import PreparedGeometry
from breastlabel.transforms.prepared import Prepared

__all__ = ["SequencePredictor", "alone", "newest_of"]


class SequencePredictor:
    """`Predictor.predict_sequence` for networks that read several images together."""

    def __init__(
        self,
        network: SequenceNetwork,
        checkpoint: CheckpointLike,
        readout: Readout,
        views: Sequence[str],
        device: torch.device,
        prepare: Prepare = prepare_now,
    ) -> None:
        self._network = network
        self._checkpoint = checkpoint
        self._readout = readout
        self._views = views
        self._device = device
        self._prepared = prepare
        self._lock = lock_of(network)

    def __call__(
        self,
        images: Sequence[BreastImage],
        *,
        contexts: FloatArray | None = None,
        newest: Sequence[bool] | None = None,
        asked: Asked = Asked(),
        stop: Callable[[], bool] | None = None,
    ) -> SequencePrediction:
        """See `Predictor.predict_sequence`."""
        judged = newest_of(images, newest)
        stages = Stages(stop)
        with stages("prepare"):
            prepared = self._prepare(images)
            batch = self._batch(prepared, contexts)
        with stages("forward"), self._lock:
            answer = sequence_pass(self._network, batch, views=self._views)
        probabilities = by_class(self._readout.probabilities(answer.class_logits.cpu().numpy())[0])
        invasive = None
        if answer.invasive_logits is not None:
            invasive = float(self._readout.invasive(answer.invasive_logits.cpu().numpy())[0])
        spread = _Spread({}, [{}] * len(images), [None] * len(images))
        if asked.passes > 0:
            with stages("uncertainty"):
                spread = self._spread(batch, prepared, judged, asked)
        with stages("restore"):
            boxes = self._boxes(answer, prepared)
            lesions = self._lesions(answer, images, prepared)
            regions = [self._readout.region(lesion) for lesion in lesions] if self._network.outlines else None
            predicted = decide_breast(
                regions, judged, probabilities, normal_threshold=self._readout.normal_threshold
            )
        explained = asked.explain_class if asked.explain_class is not None else predicted
        heats: list[FloatArray | None] = [None] * len(images)
        if asked.explain:
            with stages("explain"):
                heats = list(self._heats(batch, prepared, explained))
        above = self._readout.above_operating_point(probabilities["malignant"])
        answers = tuple(
            Prediction(
                mask=np.zeros(image.shape, np.uint8) if regions is None else paint(regions[i], predicted),
                lesion_probability=lesions[i],
                class_probabilities=probabilities,
                malignancy_probability=probabilities["malignant"],
                predicted=predicted,
                checkpoint_version=self._checkpoint.version,
                uncertainty=spread.images[i] or None,
                lesion_deviation=spread.deviations[i],
                heat_map=heats[i],
                explained=explained if asked.explain else None,
                above_operating_point=above,
                invasive_probability=invasive,
                boxes=boxes[i],
            )
            for i, image in enumerate(images)
        )
        return SequencePrediction(
            images=answers,
            newest=judged,
            class_probabilities=probabilities,
            malignancy_probability=probabilities["malignant"],
            predicted=predicted,
            checkpoint_version=self._checkpoint.version,
            uncertainty=spread.breast or None,
            above_operating_point=above,
            invasive_probability=invasive,
            seconds=stages.seconds,
        )

    def _prepare(self, images: Sequence[BreastImage]) -> list[Prepared]:
        for image in images:
            require_analysable(image)
        return [self._prepared(self._checkpoint.preparation, image) for image in images]

    def _batch(self, prepared: Sequence[Prepared], contexts: FloatArray | None) -> SequenceBatch:
        n = len(prepared)
        if contexts is None:
            contexts = np.zeros((n, CONTEXT_SIZE), np.float32)
        if contexts.shape != (n, CONTEXT_SIZE):
            raise InvalidImageError(
                f"a context of {CONTEXT_SIZE} numbers an image is required; got an array of shape "
                f"{contexts.shape} for {n} images; make it with image_context"
            )
        images = torch.from_numpy(np.stack([np.asarray(p.image, dtype=np.float32) for p in prepared]))
        return SequenceBatch(
            images[:, None].to(self._device),
            torch.zeros(n, dtype=torch.int64, device=self._device),
            torch.from_numpy(np.ascontiguousarray(contexts, dtype=np.float32)).to(self._device),
        )

    def _lesions(
        self, answer: HybridOutput, images: Sequence[BreastImage], prepared: Sequence[Prepared]
    ) -> list[FloatArray]:
        if not self._network.outlines:
            # Nothing was said of any pixel; one number stands for all of them.
            return [np.broadcast_to(np.float32(0.0), image.shape) for image in images]
        maps = torch.sigmoid(answer.mask_logits[:, 0]).cpu().numpy()
        return [
            self._readout.refined(p.geometry.restore(maps[i : i + 1])[0], image.pixels)
            for i, (image, p) in enumerate(zip(images, prepared, strict=True))
        ]

    def _boxes(
        self, answer: HybridOutput, prepared: Sequence[Prepared]
    ) -> list[tuple[LesionBox, ...]] | list[None]:
        head = getattr(self._network, "boxes", None)
        if answer.boxes is None or not isinstance(head, BoxHead):
            return [None] * len(prepared)
        found = head.found(answer.boxes, (int(answer.mask_logits.shape[2]), int(answer.mask_logits.shape[3])))
        return [_restored(each, p.geometry) for each, p in zip(found, prepared, strict=True)]

    def _spread(
        self, batch: SequenceBatch, prepared: Sequence[Prepared], newest: Sequence[bool], asked: Asked
    ) -> _Spread:
        """What dropout passes over the whole sequence say of the answer's uncertainty."""
        with self._lock:
            outputs = sequence_dropout_passes(self._network, batch, n=asked.passes, seed=asked.seed)
        logits = np.concatenate([output.class_logits.float().cpu().numpy() for output in outputs])
        classes = uncertainty.class_scores(self._readout.probabilities(logits))
        counted = {"passes": float(asked.passes)}
        if not self._network.outlines:
            scores = {**classes, **counted}
            return _Spread(scores, [scores] * len(prepared), [None] * len(prepared))
        disagreements: list[float] = []
        deviations: list[FloatArray | None] = []
        for index, image in enumerate(prepared):
            masks = np.stack([_probability(output.mask_logits[index, 0]) for output in outputs])
            level = self._readout.mask_threshold
            disagreements.append(uncertainty.mask_disagreement(masks, level=level))
            deviation = image.geometry.restore(masks.std(axis=0).astype(np.float32)[None])[0]
            deviations.append(np.maximum(deviation, 0.0, out=deviation))
        judged = [d for d, new in zip(disagreements, newest, strict=True) if new]
        return _Spread(
            {**classes, "mask_disagreement": float(np.mean(judged)), **counted},
            [{**classes, "mask_disagreement": d, **counted} for d in disagreements],
            deviations,
        )

    def _heats(
        self, batch: SequenceBatch, prepared: Sequence[Prepared], explained: LesionClass
    ) -> list[FloatArray]:
        with self._lock:
            maps = sequence_heat_maps(self._network, batch, int(explained))
        restored = [p.geometry.restore(maps[i : i + 1])[0] for i, p in enumerate(prepared)]
        # Resampling lowers a peak, so the scale is set anew: one for the breast.
        peak = max(float(heat.max()) for heat in restored)
        return [np.maximum(heat, 0.0) / np.float32(peak) if peak > 0.0 else heat for heat in restored]


class _Spread(NamedTuple):
    """Uncertainty of the breast, of each image, and the deviation of each image's lesion probability."""

    breast: Mapping[str, float]
    images: Sequence[Mapping[str, float]]
    deviations: Sequence[FloatArray | None]


def _restored(found: FoundBoxes, geometry: PreparedGeometry) -> tuple[LesionBox, ...]:
    corners = geometry.restore_boxes(found.boxes.float().cpu().numpy())
    each = zip(corners.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
    return tuple(LesionBox(tuple(box), LesionClass(kind), score) for box, kind, score in each)


def newest_of(images: Sequence[BreastImage], newest: Sequence[bool] | None) -> tuple[bool, ...]:
    """Of each image, whether it is judged.

    Raises:
        InvalidImageError: there is nothing to judge.
    """
    judged = (True,) * len(images) if newest is None else tuple(bool(new) for new in newest)
    if len(judged) != len(images) or not any(judged):
        raise InvalidImageError(
            "at least one image of the newest exam, and for each image whether it is of that exam, are "
            f"required; got {len(images)} images and {list(judged)}; give the images of one breast"
        )
    return judged


def alone(images: Sequence[BreastImage], predict: Callable[[BreastImage], Prediction]) -> SequencePrediction:
    """The answer of a network that looks at one image, as that for a sequence of one.

    Raises:
        CheckpointError: there are several images.
    """
    judged = newest_of(images, None)
    if len(images) != 1:
        raise CheckpointError(
            f"this checkpoint's network looks at one image; got {len(images)}; predict them one by one, or "
            "use a checkpoint that reads the images of a breast together"
        )
    stages = Stages()
    with stages("forward"):
        prediction = predict(images[0])
    return SequencePrediction(
        images=(prediction,),
        newest=judged,
        class_probabilities=prediction.class_probabilities,
        malignancy_probability=prediction.malignancy_probability,
        predicted=prediction.predicted,
        checkpoint_version=prediction.checkpoint_version,
        uncertainty=prediction.uncertainty,
        above_operating_point=prediction.above_operating_point,
        invasive_probability=prediction.invasive_probability,
        seconds=stages.seconds,
    )


def _probability(logits: Tensor) -> FloatArray:
    probability: FloatArray = torch.sigmoid(logits.float()).cpu().numpy()
    return probability
