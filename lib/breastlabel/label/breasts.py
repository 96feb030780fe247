"""A request that names one mammogram, answered for its breast."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from breastlabel.catalog import Catalog
from breastlabel.datasets.reading import completed
from breastlabel.datasets.sequences import context_of, sequence_of, view_of_image
from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.findings import BreastResults
from breastlabel.imaging import BreastImage, FloatArray, Modality, read_image
from breastlabel.inference import BreastAnswer, Prediction, Predictor, predict_breast
from breastlabel.label.held_images import HeldImages

__all__ = ["Breasts", "JudgedBreast"]

logger = logging.getLogger(__name__)

#: What an image that was sent with a request is called in the answer.
_UPLOADED = "uploaded"


@dataclass(frozen=True)
class JudgedBreast:
    """The answer for the breast that an image shows.

    Attributes:
        asked: id of the image that the request named.
        answer: which images were looked at, and what they show.
        seconds: by stage: ``read``, and those of `SequencePrediction`.
    """

    asked: str
    answer: BreastAnswer
    seconds: Mapping[str, float]
    _results: BreastResults = field(repr=False, compare=False)

    @property
    def image(self) -> BreastImage:
        """The image that the request named."""
        return self.answer.images[self.answer.index(self.asked)]

    @property
    def prediction(self) -> Prediction:
        """The answer for that image."""
        return self.answer.prediction.images[self.answer.index(self.asked)]

    def siblings(self) -> list[str]:
        """Ids of the other images of the exam that was judged."""
        return [view.image_id for view in self.answer.sequence.newest.views if view.image_id != self.asked]

    def params(self, image_id: str) -> dict[str, Any]:
        """What is to be said of an image of the breast: `BreastResults.result`.

        Side and view are those of the catalog, which also knows them of files that do not say them.
        """
        index = self.answer.index(image_id)
        said, view = self._results.result(index), self.answer.sequence.views[index]
        shown = dict(said["image"]) if isinstance(said["image"], Mapping) else {}
        for name, value in (("laterality", view.laterality), ("view_position", view.view_position)):
            shown[name] = None if value is None else value.value
        return {**said, "image": shown}


class Breasts:
    """Finds the images that belong to the one that a request names, and judges them together.

    Args:
        catalog: of the studies folder.
        images: reads its images.
    """

    def __init__(self, catalog: Catalog, images: HeldImages) -> None:
        self.catalog = catalog
        self.images = images

    def judge(
        self, predictor: Predictor, file: Path, image_id: str | None = None, **asked: Any
    ) -> JudgedBreast:
        """Judge the breast that an image shows.

        An image beside it that cannot be read or analysed is left out, with the reason.

        Args:
            file: the image asked about.
            image_id: its id in the catalog; None for a file from elsewhere, which is looked at alone.
            asked: arguments of `Predictor.predict_sequence`.

        Raises:
            InvalidImageError: the image asked about cannot be read or analysed.
        """
        return _Judging(self, predictor, asked).judge(file, image_id)


class _Judging:
    """One request."""

    def __init__(self, breasts: Breasts, predictor: Predictor, asked: Mapping[str, Any]) -> None:
        self._catalog = breasts.catalog
        self._images = breasts.images
        self._predictor = predictor
        self._asked = asked
        self._reading = 0.0

    def judge(self, file: Path, image_id: str | None) -> JudgedBreast:
        answer = self._alone(file) if image_id is None else self._with_others(image_id)
        name = image_id or _UPLOADED
        images = answer.images if image_id is None else self._completed(answer)
        results = BreastResults(answer.prediction, images, answer.sequence, ids=[name])
        seconds = {"read": self._reading, **answer.prediction.seconds}
        return JudgedBreast(name, answer, seconds, results)

    def _with_others(self, image_id: str) -> BreastAnswer:
        predictor = self._predictor
        known = sequence_of(self._catalog, image_id, views=predictor.uses_views, priors=predictor.uses_priors)
        target = next(view for view in known.views if view.image_id == image_id)
        if target.not_analysable is not None:
            raise InvalidImageError(
                f"a standard view of a whole breast is required; '{image_id}' is not analysable "
                f"({target.not_analysable}); ask for the exam's standard views"
            )
        return predict_breast(
            predictor,
            target,
            known.views,
            read=self._read_known,
            context=self._context,
            on_error=_note,
            left_out=known.left_out,
            **self._asked,
        )

    def _alone(self, file: Path) -> BreastAnswer:
        with self._timed():
            image = read_image(file, modality=Modality.MG)
        target = replace(view_of_image(_UPLOADED, image), patient_key=None)
        answer = predict_breast(
            self._predictor,
            target,
            [],
            read=lambda image_id: image,
            context=lambda image_id, image, newest, is_prior: context_of(image, newest, is_prior=is_prior),
            **self._asked,
        )
        note = "the image was sent with the request, so no other views and no older exams were looked for"
        return replace(answer, sequence=replace(answer.sequence, notes=(note,)))

    def _read_known(self, image_id: str) -> BreastImage:
        path = self._catalog.path(self._catalog.image(image_id))
        try:
            with self._timed():
                return self._images.read(path, Modality.MG)
        except OSError as error:
            raise InvalidImageError(
                f"a file that can be read is required; that of '{image_id}' cannot ({error.strerror}); "
                "check its permissions and its disk"
            ) from error

    def _completed(self, answer: BreastAnswer) -> tuple[BreastImage, ...]:
        """With what a dataset's table says of them: without its spacing a PNG has sizes in pixels."""
        pairs = zip(answer.sequence.views, answer.images, strict=True)
        return tuple(completed(image, self._catalog.image(view.image_id)) for view, image in pairs)

    def _context(self, image_id: str, image: BreastImage, newest: date | None, is_prior: bool) -> FloatArray:
        # As in training: what the catalog knows, which for imported data is more than the file says.
        return context_of(self._catalog.image(image_id), newest, is_prior=is_prior)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._reading += time.perf_counter() - started


def _note(image_id: str, error: BreastLabelError) -> None:
    # Ids may be file names of the site's choosing; what is wrong is told to the client.
    logger.warning("an image beside the one asked about was left out: %s", type(error).__name__)
