"""Runs a model over labelled images and measures each answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.errors import BreastLabelError
from breastlabel.evaluation.appearance import border_sharpness, lesion_contrast
from breastlabel.evaluation.lesions import match_lesions
from breastlabel.evaluation.segmentation import boundary_distances, dice, iou
from breastlabel.evaluation.table import NAN, Case, EvaluationTable, Picture
from breastlabel.imaging.image import BreastImage, LabelArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Labelled", "Predicts", "collect", "measure_case", "timed", "timed_items"]

_PICTURE_SIDE = 280

T = TypeVar("T")


class Predicts(Protocol):
    """What is needed of `breastlabel.inference.Predictor`."""

    def predict(self, image: BreastImage, *, explain: bool = False) -> Any:
        """A `Prediction` at the image's own size."""
        ...


class Labelled(Protocol):
    """What is needed of `breastlabel.datasets.LabelledImage`."""

    @property
    def record(self) -> Any: ...
    @property
    def image(self) -> BreastImage: ...
    @property
    def mask(self) -> LabelArray | None: ...
    @property
    def label(self) -> LesionClass | None: ...


def collect(
    predictor: Predicts,
    images: Iterable[Labelled],
    *,
    explain: bool = True,
    pictures: bool = True,
    progress: Callable[[int], None] | None = None,
    on_error: Callable[[str, BreastLabelError], None] | None = None,
) -> EvaluationTable:
    """Predict and measure every image; memory holds a small picture of each, not its pixels.

    Args:
        explain: also ask for the heat map of images with an outline, in a second, separately timed call.
        pictures: whether to keep a small copy of each image for the report.
        progress: called with the number of images done.
        on_error: called with an image's id and why it cannot be analysed, and the rest goes on; without
            it the error is raised.
    """
    cases = []
    for done, (labelled, read_seconds) in enumerate(timed_items(images), start=1):
        try:
            cases.append(_predict_case(predictor, labelled, read_seconds, explain=explain, picture=pictures))
        except BreastLabelError as error:
            if on_error is None:
                raise
            on_error(str(labelled.record.image_id), error)
        if progress is not None:
            progress(done)
    return EvaluationTable(tuple(cases))


def measure_case(
    labelled: Labelled, prediction: Any, *, heat_map: npt.NDArray[Any] | None = None, picture: bool = True
) -> Case:
    """Measure one answer against the reader.

    A reviewed image without a label map whose class is normal counts as outlined with nothing.

    Args:
        prediction: a `breastlabel.inference.Prediction`.
        heat_map: (rows, cols), for the question where its peak lies.
    """
    record, image, model = labelled.record, labelled.image, prediction.mask
    probabilities = prediction.class_probabilities
    metadata = record.metadata
    reader = _reader_mask(labelled)
    return Case(
        image_id=record.image_id,
        group=str(record.group or record.patient_key),
        patient=str(record.patient_key),
        dataset=record.dataset or "",
        label=None if labelled.label is None else int(labelled.label),
        probabilities=tuple(float(probabilities[c.label]) for c in LesionClass),  # type: ignore[arg-type]
        predicted=int(prediction.predicted),
        model_area=float(np.count_nonzero(model)),
        has_spacing=_spacing(labelled) is not None,
        age=_age(image, metadata),
        density=_text(image.density.value if image.density else metadata.get("density")),
        view=_text(record.view_position.value if record.view_position else metadata.get("view")),
        machine=_text(image.machine_id or metadata.get("machine") or metadata.get("device")),
        type=_text(metadata.get("histology") or metadata.get("type")),
        picture=_picture(image, reader, model) if picture else None,
        **({} if reader is None else _outline_measures(labelled, reader, prediction, heat_map)),
    )


def _predict_case(
    predictor: Predicts, labelled: Labelled, read_seconds: float, *, explain: bool, picture: bool
) -> Case:
    prediction, predict_seconds = timed(lambda: predictor.predict(labelled.image))
    seconds = {"read": read_seconds, "predict": predict_seconds}
    heat_map = None
    reader = labelled.mask
    if explain and reader is not None and reader.any():
        explained, seconds["explain"] = timed(lambda: predictor.predict(labelled.image, explain=True))
        heat_map = explained.heat_map
    case, seconds["measure"] = timed(
        lambda: measure_case(labelled, prediction, heat_map=heat_map, picture=picture)
    )
    return replace(case, seconds=seconds)


def _outline_measures(
    labelled: Labelled, reader: LabelArray, prediction: Any, heat_map: npt.NDArray[Any] | None
) -> dict[str, Any]:
    model, pixels = prediction.mask, labelled.image.pixels
    area = int(np.count_nonzero(reader))
    spacing = _spacing(labelled)
    in_px = boundary_distances(reader, model)
    measures: dict[str, Any] = {
        "reader_area": float(area),
        "dice": dice(reader, model),
        "iou": iou(reader, model),
        "hd95_px": in_px.hd95,
        "assd_px": in_px.assd,
        "match": match_lesions(reader, model, prediction.lesion_probability),
    }
    if area:
        measures |= {
            "area_fraction": area / reader.size,
            "contrast": lesion_contrast(pixels, reader),
            "border": border_sharpness(pixels, reader),
        }
    if spacing is not None:
        in_mm = boundary_distances(reader, model, spacing=spacing)
        diameter = 2 * math.sqrt(area * spacing[0] * spacing[1] / math.pi) if area else NAN
        measures |= {"hd95_mm": in_mm.hd95, "assd_mm": in_mm.assd, "diameter_mm": diameter}
    if area and heat_map is not None:
        # A heat map that is nowhere warm points at nothing, so it misses.
        warm = float(heat_map.max()) > 0
        measures["peak_in_lesion"] = warm and bool(reader.ravel()[int(heat_map.argmax())] > 0)
    return measures


def _reader_mask(labelled: Labelled) -> LabelArray | None:
    if labelled.mask is not None:
        return labelled.mask
    if labelled.label == LesionClass.NORMAL:
        return np.zeros(labelled.image.shape, dtype=np.uint8)
    return None


def _spacing(labelled: Labelled) -> tuple[float, float] | None:
    record = labelled.record
    if labelled.image.spacing is not None:
        return labelled.image.spacing
    if record.spacing_rows and record.spacing_cols:
        return float(record.spacing_rows), float(record.spacing_cols)
    return None


def _age(image: BreastImage, metadata: Mapping[str, Any]) -> float:
    value = image.age if image.age is not None else metadata.get("age")
    try:
        return NAN if value is None else float(value)
    except (TypeError, ValueError):
        return NAN


def _text(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _picture(image: BreastImage, reader: LabelArray | None, model: LabelArray) -> Picture:
    low, high = np.percentile(image.pixels, [0.5, 99.5])
    grey = np.clip((image.pixels - low) / max(float(high - low), 1e-6), 0, 1) * 255
    scale = min(1.0, _PICTURE_SIDE / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    small = cv2.resize(grey.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    png = cv2.imencode(".png", small)[1].tobytes()
    return Picture(png, () if reader is None else _outlines(reader, size), _outlines(model, size))


def _outlines(mask: LabelArray, size: tuple[int, int]) -> tuple[npt.NDArray[np.int32], ...]:
    small = cv2.resize((mask > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return tuple(contour.reshape(-1, 2).astype(np.int32) for contour in contours)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work gives, and the seconds that it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def timed_items(items: Iterable[T]) -> Iterator[tuple[T, float]]:
    """Each item, and the seconds that it took to come."""
    stream = iter(items)
    while True:
        started = time.perf_counter()
        try:
            item = next(stream)
        except StopIteration:
            return
        yield item, time.perf_counter() - started
