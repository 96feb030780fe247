"""Inference tasks: a lesion mask painted with the class, and what stands behind it."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from breastlabel.findings import LABEL_NAMES, result_json
from breastlabel.imaging import Geometry, Modality, read_image, write_mask
from breastlabel.inference import Prediction
from breastlabel.label.options import DEVICES, Options
from breastlabel.label.predictors import ChampionPredictors

__all__ = [
    "MAX_PASSES",
    "Clock",
    "SegmentationTask",
    "answer",
    "plain",
    "result_file",
    "result_suffix",
    "superpixels_of",
]

#: More stochastic passes change an uncertainty by less than its own error.
MAX_PASSES = 200
_SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".seg.nrrd")


class SegmentationTask(InferTask):
    """One of the project's systems as MONAI Label's inference task.

    The request holds ``image``, a path that the server chose, and options. The answer is the path of a
    temporary file, which the caller removes, and the parameters that go with it.
    """

    def __init__(
        self, model: str, predictors: ChampionPredictors, *, modality: Modality, description: str
    ) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LABEL_NAMES),
            dimension=2,
            description=description,
            # In Slicer lists become choices, and entries must be text.
            config={
                "superpixels": ["auto", "on", "off"],
                "uncertainty_passes": ["0", "10", "20", "50"],
                "device": list(DEVICES),
            },
        )
        self.model = model
        self.modality = modality
        self.predictors = predictors

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, and which version serves (None: nothing is trained yet)."""
        return {**super().info(), "checkpoint_version": self.predictors.version(self.model)}

    def is_valid(self) -> bool:
        """True: a task without a checkpoint is listed too, and says how to train one."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Mask file and parameters.

        Raises:
            CheckpointError: nothing is trained yet.
            InvalidImageError: the image cannot be read.
        """
        passes = Options(request).integer("uncertainty_passes", 0, low=0, high=MAX_PASSES)
        return answer(self, request, write=_write_mask, uncertainty_passes=passes)


class _PredictingTask(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def modality(self) -> Modality: ...
    @property
    def predictors(self) -> ChampionPredictors: ...


def answer(
    task: _PredictingTask,
    request: Mapping[str, Any],
    *,
    write: Callable[[Path, Prediction, Geometry], Mapping[str, Any]],
    **asked: Any,
) -> tuple[str, dict[str, Any]]:
    """Read the image that a request names, predict, write the result's file.

    Args:
        write: writes the result to a path and answers what is to be said of it beside `result_json`.
        asked: arguments of `Predictor.predict`.

    Returns:
        File and parameters, with the seconds that each step took.
    """
    clock, options = Clock(), Options(request)
    suffix = result_suffix(options)
    predictor = task.predictors.predictor(
        task.model, device=options.device(), superpixels=superpixels_of(options)
    )
    image = read_image(Path(request["image"]), modality=task.modality)
    clock.lap("read")
    prediction = predictor.predict(image, **asked)
    clock.lap("infer")
    with result_file(suffix) as path:
        said = write(path, prediction, image.geometry)
    clock.lap("write")
    params = {**result_json(prediction, image), **said}
    clock.lap("describe")
    return str(path), plain({**params, "latencies": clock.laps()})


def _write_mask(path: Path, prediction: Prediction, geometry: Geometry) -> Mapping[str, Any]:
    write_mask(path, prediction.mask, geometry=geometry)
    return {}


def superpixels_of(options: Options) -> bool | None:
    """The option ``superpixels``: on, off, or None: as the checkpoint says."""
    return None if options.text("superpixels", "auto") == "auto" else options.flag("superpixels")


def result_suffix(options: Options) -> str:
    """The file type asked for. Slicer's ``.seg.nrrd`` is answered with the label map it also reads."""
    suffix = options.choice("result_extension", _SUFFIXES, ".nrrd")
    return ".nrrd" if suffix == ".seg.nrrd" else suffix


@contextlib.contextmanager
def result_file(suffix: str) -> Iterator[Path]:
    """A new temporary file for a result; it is removed where writing it fails."""
    descriptor, name = tempfile.mkstemp(prefix="breastlabel-", suffix=suffix)
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class Clock:
    """Seconds between points of a request."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """What went since the last lap is called ``name``."""
        now = time.perf_counter()
        self._laps[name] = round(now - self._last, 4)
        self._last = now

    def split(self, parts: Mapping[str, float], *, rest: str) -> None:
        """What went since the last lap has these parts, in seconds, and a ``rest``."""
        now = time.perf_counter()
        self._laps |= {name: round(seconds, 4) for name, seconds in parts.items()}
        self._laps[rest] = round(max(0.0, now - self._last - sum(parts.values())), 4)
        self._last = now

    def laps(self) -> dict[str, float]:
        """All laps and the ``total``."""
        return {**self._laps, "total": round(time.perf_counter() - self._start, 4)}


def plain(value: Any) -> Any:
    """The value as JSON can say it: NumPy scalars as numbers, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    number = float(value)
    return number if math.isfinite(number) else None
