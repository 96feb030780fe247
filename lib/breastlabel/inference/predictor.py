"""A checkpoint that answers: image in, mask, class, uncertainty and heat map out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference.asked import Asked, require_analysable
from breastlabel.inference.image_predictor import ImagePredictor
from breastlabel.inference.loading import CheckpointLike, load
from breastlabel.inference.passes import check_augmentations
from breastlabel.inference.prediction import Prediction
from breastlabel.inference.preparing import Prepare, prepare_now
from breastlabel.inference.readout import Readout
from breastlabel.inference.sequence_prediction import SequencePrediction
from breastlabel.inference.sequence_predictor import SequencePredictor, alone
from breastlabel.networks.sequences import SequenceNetwork

__all__ = ["CheckpointLike", "Predictor"]


class Predictor:
    """Predict lesions with one checkpoint: prepare, forward, calibrate, restore, refine, decide.

    Everything it does is what the checkpoint says: the preparation, ``calibration.temperature``,
    ``thresholds`` (``mask`` 0.5, ``normal`` 0.5, ``min_area_fraction`` 0.001 of the image),
    ``operating_point`` (none) and ``inference`` (``superpixels`` false, ``superpixel_options`` {},
    ``tta`` [], ``largest_only`` false), each with the value here where it says nothing.
    `breastlabel.inference.prediction.decide` states how outline and class are made to agree.

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
        prepare: Prepare = prepare_now,
    ) -> None:
        """Args:
            checkpoint: loaded, or the folder to load it from.
            device: a GPU where there is one, if None.
            superpixels: whether SLIC superpixels refine the mask; as the checkpoint says, if None.
            tta: names of flips averaged with the image itself, False for none; as the checkpoint says,
                if None (or True).
            prepare: how the checkpoint's preparation is applied to an image of a sequence; a server does it
                once for an image that is asked for again.

        Raises:
            CheckpointError: the folder is no usable checkpoint.
            UnknownNameError: an unknown flip.
        """
        self.checkpoint = load(checkpoint)
        spec = self.checkpoint.spec
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.readout = Readout.of(spec, superpixels=superpixels)
        views = spec.get("inference", {}).get("tta", []) if tta is None or tta is True else tta
        self.views = check_augmentations(() if views is False else tuple(views))
        self._network = self.checkpoint.network.to(self.device).eval()
        parts = (self.checkpoint, self.readout, self.views, self.device)
        self._answers: SequencePredictor | ImagePredictor = (
            SequencePredictor(self._network, *parts, prepare)
            if isinstance(self._network, SequenceNetwork)
            else ImagePredictor(self._network, *parts)
        )

    @property
    def version(self) -> str:
        """The checkpoint's version."""
        return self.checkpoint.version

    @property
    def temperature(self) -> float:
        """By which class logits are divided."""
        return self.readout.temperature

    @property
    def mask_threshold(self) -> float:
        """Probability from which a pixel belongs to a lesion."""
        return self.readout.mask_threshold

    @property
    def superpixels(self) -> bool:
        """Whether SLIC superpixels refine the mask."""
        return self.readout.superpixels

    @property
    def takes_sequences(self) -> bool:
        """Whether several images of a breast are judged together, as `predict_sequence` does."""
        return isinstance(self._answers, SequencePredictor)

    @property
    def outlines(self) -> bool:
        """Whether lesions are outlined; else masks are empty, and the probabilities decide alone."""
        return not isinstance(self._network, SequenceNetwork) or self._network.outlines

    @property
    def uses_views(self) -> bool:
        """Whether the other views of the breast in the same exam belong into a sequence."""
        return isinstance(self._network, SequenceNetwork) and self._network.uses_views

    @property
    def uses_priors(self) -> bool:
        """Whether older exams of the breast belong into a sequence."""
        return isinstance(self._network, SequenceNetwork) and self._network.uses_priors

    def refusal(self, image: BreastImage) -> str | None:
        """Why an image cannot be analysed, in a sentence; None where it can."""
        try:
            require_analysable(image)
            self.checkpoint.preparation(image.pixels)
        except InvalidImageError as error:
            return str(error)
        return None

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
            InvalidImageError: the preparation or the network cannot take the image, or it is marked as not
                analysable.
        """
        asked = Asked(uncertainty_passes, explain or explain_class is not None, explain_class, seed)
        return self._predict_batch([image], asked)[0]

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
        """One class for a breast, and an outline in each image of it.

        Args:
            images: of one breast, oldest exam first, CC before MLO within an exam; each of any size.
            contexts: (images, CONTEXT_SIZE), `breastlabel.imaging.context.image_context` of each; None where
                only the pixels are known.
            newest: of each image, whether it is of the newest exam; all, if None.
            uncertainty_passes: stochastic passes (dropout) over the whole sequence, encoded once.
            explain: whether to make heat maps, on one scale for all images: 1 at the breast's peak.
            explain_class: for this class instead of the predicted one.
            seed: of the stochastic passes.
            should_stop: asked between the stages.

        Raises:
            InvalidImageError: no image, none of the newest exam, contexts of another size, an image that is
                not analysable, or several images for a network that looks at one.
            StoppedError: ``should_stop`` said so.
        """
        asked = Asked(uncertainty_passes, explain or explain_class is not None, explain_class, seed)
        if isinstance(self._answers, SequencePredictor):
            return self._answers(images, contexts=contexts, newest=newest, asked=asked, stop=should_stop)
        return alone(images, lambda image: self._predict_batch([image], asked)[0])

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
            images: drawn as they are needed; each is judged by itself.
            progress: called with the number of images done so far, after each batch.
            should_stop: asked before each batch; true ends the stream.
            on_error: called with an image's position and what is wrong with it; the rest goes on. The
                error is raised where this is None.

        Yields:
            (position in ``images``, prediction), in order. Equal to those of `predict`.
        """
        asked = Asked(uncertainty_passes, explain, None, seed)
        stream = enumerate(images)
        done = 0
        while not (should_stop is not None and should_stop()):
            batch = list(islice(stream, max(1, batch_size)))
            if not batch:
                return
            yield from self._predict_each(batch, asked, on_error)
            done += len(batch)
            if progress is not None:
                progress(done)

    def _predict_each(
        self,
        batch: list[tuple[int, BreastImage]],
        asked: Asked,
        on_error: Callable[[int, BreastLabelError], None] | None,
    ) -> Iterator[tuple[int, Prediction]]:
        try:
            predictions = self._predict_batch([image for _, image in batch], asked)
        except BreastLabelError as error:
            if on_error is None:
                raise
            if len(batch) == 1:
                on_error(batch[0][0], error)
                return
            for item in batch:
                yield from self._predict_each([item], asked, on_error)
            return
        yield from zip((index for index, _ in batch), predictions, strict=True)

    def _predict_batch(self, images: Sequence[BreastImage], asked: Asked) -> list[Prediction]:
        answers = self._answers
        if isinstance(answers, SequencePredictor):
            return [answers([image], asked=asked).images[0] for image in images]
        return answers(images, asked)
