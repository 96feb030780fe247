"""A request for one image becomes the answer for its breast: what is looked at, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

import numpy as np

from breastlabel.errors import BreastLabelError
from breastlabel.imaging.exams import BreastSequence, LeftOut, View, breast_sequence
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.inference.sequence_prediction import SequencePrediction

__all__ = ["BreastAnswer", "ContextOf", "PredictsBreasts", "predict_breast"]

ContextOf = Callable[[str, BreastImage, date | None, bool], FloatArray]
"""(image id, image, date of the newest exam, whether it is a prior) -> float32 (CONTEXT_SIZE,)."""


class PredictsBreasts(Protocol):
    """What is needed of `Predictor` and `EnsemblePredictor`."""

    @property
    def uses_views(self) -> bool: ...
    @property
    def uses_priors(self) -> bool: ...
    @property
    def predict_sequence(self) -> Callable[..., SequencePrediction]: ...
    def refusal(self, image: BreastImage) -> str | None: ...


@dataclass(frozen=True)
class BreastAnswer:
    """What was looked at, and what it shows.

    Attributes:
        sequence: the images' places, and which were left out.
        images: in the order of ``sequence.views``.
        prediction: its images in the same order.
    """

    sequence: BreastSequence
    images: tuple[BreastImage, ...]
    prediction: SequencePrediction

    def index(self, image_id: str) -> int:
        """Where an image stands in the sequence."""
        return [view.image_id for view in self.sequence.views].index(image_id)


def predict_breast(
    predictor: PredictsBreasts,
    target: View,
    candidates: Iterable[View],
    *,
    read: Callable[[str], BreastImage],
    context: ContextOf,
    on_error: Callable[[str, BreastLabelError], None] | None = None,
    left_out: Iterable[LeftOut] = (),
    **asked: Any,
) -> BreastAnswer:
    """Judge the breast and the exam that an image shows, with the other views and priors that the model uses.

    An image beside the target that cannot be read or analysed is left out, and the answer says so.

    Args:
        target: the image asked about.
        candidates: images that may belong to its breast; the target may be among them.
        read: gives an image by its id.
        context: what is known of an image beside its pixels.
        on_error: called with the id of an image that cannot be used beside the target, and why.
        left_out: further images that are known not to take part.
        asked: further arguments of `Predictor.predict_sequence`.

    Raises:
        BreastLabelError: the target itself cannot be read or analysed.
    """
    usable = {view.image_id: view for view in candidates}
    images: dict[str, BreastImage] = {target.image_id: read(target.image_id)}
    dropped: list[LeftOut] = list(left_out)

    def drop(image_id: str, error: BreastLabelError, reason: str) -> None:
        usable.pop(image_id)
        images.pop(image_id, None)
        dropped.append(LeftOut(image_id, reason))
        if on_error is not None:
            on_error(image_id, error)

    while True:
        sequence = breast_sequence(
            target, usable.values(), views=predictor.uses_views, priors=predictor.uses_priors
        )
        ids = [view.image_id for view in sequence.views]
        if _read_all(ids, images, read, drop):
            continue
        shown = [images[image_id] for image_id in ids]
        newest_ids = {view.image_id for view in sequence.newest.views}
        newest = [image_id in newest_ids for image_id in ids]
        day = sequence.newest.acquired
        contexts = [
            context(image_id, image, day, not new)
            for image_id, image, new in zip(ids, shown, newest, strict=True)
        ]
        try:
            prediction = predictor.predict_sequence(
                shown, contexts=np.stack(contexts), newest=newest, **asked
            )
        except BreastLabelError as error:
            # Whose fault it is: the target's is the caller's to hear, another's only costs that image.
            refused = [i for i in ids if i != target.image_id and predictor.refusal(images[i]) is not None]
            if not refused:
                raise
            for image_id in refused:
                drop(image_id, error, "cannot be analysed")
            continue
        everyone = tuple(sorted((*sequence.left_out, *dropped), key=lambda left: left.image_id))
        return BreastAnswer(replace(sequence, left_out=everyone), tuple(shown), prediction)


def _read_all(
    ids: list[str],
    images: dict[str, BreastImage],
    read: Callable[[str], BreastImage],
    drop: Callable[[str, BreastLabelError, str], None],
) -> bool:
    """Read what is not read yet; whether an image had to be dropped."""
    for image_id in ids:
        if image_id in images:
            continue
        try:
            images[image_id] = read(image_id)
        except BreastLabelError as error:
            drop(image_id, error, "cannot be read")
            return True
    return False
