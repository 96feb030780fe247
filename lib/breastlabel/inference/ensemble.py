"""Several checkpoints that answer together, and how far they disagree.

The mean of the members' calibrated probabilities is the answer, and the mutual information between the
members' votes is what they do not know (Lakshminarayanan, Pritzel and Blundell, Simple and Scalable
Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from breastlabel.errors import CheckpointError
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference import uncertainty
from breastlabel.inference.loading import CheckpointLike
from breastlabel.inference.prediction import Prediction
from breastlabel.inference.predictor import Predictor
from breastlabel.inference.readout import by_class
from breastlabel.inference.sequence_prediction import SequencePrediction, decide_breast, paint
from breastlabel.inference.stages import Stages

__all__ = ["EnsemblePredictor"]

#: Masks are compared between members on about so many pixels: a film's outline is far larger than one.
_COMPARED_PIXELS = 1 << 20


class EnsemblePredictor:
    """`Predictor.predict` and `Predictor.predict_sequence` for several checkpoints of one system.

    Each member prepares, calibrates and restores as its own checkpoint says. The outline is read off the mean
    of the members' lesion probabilities with the mean of their thresholds; where no member outlines, there is
    none. The operating point is the mean of the members', where each has one. Boxes are not drawn.

    Attributes:
        members: at least two.
    """

    def __init__(
        self,
        checkpoints: Sequence[Path | str | CheckpointLike],
        *,
        device: str | torch.device | None = None,
        superpixels: bool | None = None,
        tta: Sequence[str] | bool | None = None,
    ) -> None:
        """Args:
            checkpoints: of one system; the other arguments are those of `Predictor`, for each of them.

        Raises:
            CheckpointError: fewer than two, of different systems, or one is no usable checkpoint.
        """
        if len(checkpoints) < 2:
            raise CheckpointError(
                f"an ensemble requires two checkpoints or more; got {len(checkpoints)}; name another, or "
                "predict with the one alone"
            )
        self.members = tuple(
            Predictor(checkpoint, device=device, superpixels=superpixels, tta=tta)
            for checkpoint in checkpoints
        )
        systems = {str(member.checkpoint.spec.get("model", "")) for member in self.members}
        inputs = {(m.takes_sequences, m.uses_views, m.uses_priors) for m in self.members}
        if len(systems) > 1 or len(inputs) > 1:
            raise CheckpointError(
                "the checkpoints of an ensemble must be of one system that looks at the same images; got "
                f"{', '.join(sorted(systems))}; leave out those of another"
            )
        first = self.members[0]
        self.checkpoint = first.checkpoint
        self.device = first.device
        readouts = [member.readout for member in self.members]
        points = [readout.operating_point for readout in readouts]
        self.readout = replace(
            first.readout,
            mask_threshold=float(np.mean([readout.mask_threshold for readout in readouts])),
            normal_threshold=float(np.mean([readout.normal_threshold for readout in readouts])),
            operating_point=None if None in points else float(np.mean([p for p in points if p is not None])),
        )

    @property
    def version(self) -> str:
        """The members' versions, joined by "+"."""
        return "+".join(member.version for member in self.members)

    @property
    def takes_sequences(self) -> bool:
        """As `Predictor.takes_sequences`."""
        return self.members[0].takes_sequences

    @property
    def uses_views(self) -> bool:
        """As `Predictor.uses_views`."""
        return self.members[0].uses_views

    @property
    def uses_priors(self) -> bool:
        """As `Predictor.uses_priors`."""
        return self.members[0].uses_priors

    def refusal(self, image: BreastImage) -> str | None:
        """Why an image cannot be analysed by one of the members; None where it can."""
        return next((reason for m in self.members if (reason := m.refusal(image)) is not None), None)

    def predict(self, image: BreastImage, **asked: Any) -> Prediction:
        """Outline and classify one image; arguments as for `Predictor.predict`."""
        return self.predict_sequence([image], **asked).images[0]

    def predict_sequence(
        self,
        images: Sequence[BreastImage],
        *,
        contexts: FloatArray | None = None,
        newest: Sequence[bool] | None = None,
        uncertainty_passes: int = 0,
        explain: bool = False,
        explain_class: LesionClass | None = None,
        seed: int = 0,
        should_stop: Callable[[], bool] | None = None,
    ) -> SequencePrediction:
        """As `Predictor.predict_sequence`; the uncertainty is that between the members.

        It is always there: its ``members`` says how many, ``mask_disagreement`` compares their outlines. With
        ``uncertainty_passes``, ``dropout_mutual_information`` is the mean over the members of what their own
        stochastic passes disagree about. Heat maps are the mean of the members', for the ensemble's class.
        """
        stages = Stages(should_stop)
        asked: dict[str, Any] = {"contexts": contexts, "newest": newest, "should_stop": should_stop}
        pooled = _Pool(images, self.readout.mask_threshold)
        with stages("forward"):
            for member in self.members:
                pooled.add(
                    member.predict_sequence(
                        images, **asked, uncertainty_passes=uncertainty_passes, seed=seed
                    ),
                    outlines=member.outlines,
                )
        probabilities = by_class(np.mean(pooled.classes, axis=0))
        with stages("restore"):
            lesions, deviations = pooled.lesions(), pooled.deviations()
            regions = [self.readout.region(lesion) for lesion in lesions] if pooled.outlined else None
        predicted = decide_breast(
            regions, pooled.newest, probabilities, normal_threshold=self.readout.normal_threshold
        )
        heats: list[FloatArray | None] = [None] * len(images)
        explained = explain_class if explain_class is not None else predicted
        if explain or explain_class is not None:
            with stages("explain"):
                heats = list(self._heats(images, asked, explained))
        scores = pooled.scores()
        above = self.readout.above_operating_point(probabilities["malignant"])
        answers = tuple(
            Prediction(
                mask=np.zeros(image.shape, np.uint8) if regions is None else paint(regions[i], predicted),
                lesion_probability=lesions[i],
                class_probabilities=probabilities,
                malignancy_probability=probabilities["malignant"],
                predicted=predicted,
                checkpoint_version=self.version,
                uncertainty={**scores, **pooled.disagreement([i])},
                lesion_deviation=deviations[i] if pooled.outlined else None,
                heat_map=heats[i],
                explained=None if heats[i] is None else explained,
                above_operating_point=above,
                invasive_probability=pooled.invasive,
            )
            for i, image in enumerate(images)
        )
        judged = [i for i, new in enumerate(pooled.newest) if new]
        return SequencePrediction(
            images=answers,
            newest=pooled.newest,
            class_probabilities=probabilities,
            malignancy_probability=probabilities["malignant"],
            predicted=predicted,
            checkpoint_version=self.version,
            uncertainty={**scores, **pooled.disagreement(judged)},
            above_operating_point=above,
            invasive_probability=pooled.invasive,
            seconds=stages.seconds,
        )

    def _heats(
        self, images: Sequence[BreastImage], asked: Mapping[str, Any], explained: LesionClass
    ) -> list[FloatArray]:
        """The members' heat maps, averaged, on one scale: 1 at the breast's peak."""
        total = [np.zeros(image.shape, np.float32) for image in images]
        for member in self.members:
            answer = member.predict_sequence(images, **asked, explain_class=explained)
            for mean, prediction in zip(total, answer.images, strict=True):
                mean += np.asarray(prediction.heat_map, dtype=np.float32)
        peak = max(float(heat.max()) for heat in total)
        return [heat / np.float32(peak) if peak > 0.0 else heat for heat in total]


class _Pool:
    """The members' answers to one sequence, gathered without keeping every map of every member."""

    def __init__(self, images: Sequence[BreastImage], level: float) -> None:
        self.newest: tuple[bool, ...] = ()
        self.classes: list[list[float]] = []
        self.outlined = False
        self._invasive: list[float] = []
        self._level = level
        self._sums = [np.zeros(image.shape, np.float32) for image in images]
        self._squares = [np.zeros(image.shape, np.float32) for image in images]
        self._reduced: list[list[FloatArray]] = [[] for _ in images]
        self._n_outlined = 0
        self._dropout: list[float] = []

    def add(self, answer: SequencePrediction, *, outlines: bool) -> None:
        """One member's answer."""
        self.newest = answer.newest
        self.classes.append([answer.class_probabilities[c.label] for c in LesionClass])
        if answer.uncertainty is not None:
            self._dropout.append(answer.uncertainty["mutual_information"])
        if answer.invasive_probability is not None:
            self._invasive.append(answer.invasive_probability)
        if not outlines:
            return
        self.outlined = True
        self._n_outlined += 1
        for i, prediction in enumerate(answer.images):
            lesion = prediction.lesion_probability
            self._sums[i] += lesion
            self._squares[i] += lesion * lesion
            step = max(1, round((lesion.size / _COMPARED_PIXELS) ** 0.5))
            self._reduced[i].append(lesion[::step, ::step].copy())

    @property
    def invasive(self) -> float | None:
        """Mean probability that the cancer is invasive, of the members that tell; None where none does."""
        return float(np.mean(self._invasive)) if self._invasive else None

    def lesions(self) -> list[FloatArray]:
        """Mean lesion probability of each image."""
        n = np.float32(max(self._n_outlined, 1))
        return [total / n for total in self._sums]

    def deviations(self) -> list[FloatArray]:
        """Standard deviation between the members, of each image."""
        n = np.float32(max(self._n_outlined, 1))
        return [
            np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0.0))
            for total, squares in zip(self._sums, self._squares, strict=True)
        ]

    def scores(self) -> dict[str, float]:
        """Of the class, between the members."""
        votes: npt.NDArray[np.float64] = np.array(self.classes)
        scores = {**uncertainty.class_scores(votes), "members": float(len(votes))}
        if self._dropout:
            scores["dropout_mutual_information"] = float(np.mean(self._dropout))
        return scores

    def disagreement(self, images: Sequence[int]) -> dict[str, float]:
        """``mask_disagreement`` of the members, mean over some of the images; nothing without outlines."""
        if not self.outlined:
            return {}
        each = [uncertainty.mask_disagreement(np.stack(self._reduced[i]), level=self._level) for i in images]
        return {"mask_disagreement": float(np.mean(each))}
