"""The Grad-CAM heat map of an image, as an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.imaging import FloatArray, Geometry, LabelArray, LesionClass, Modality, write_image
from breastlabel.imaging.dicom import header_facts
from breastlabel.imaging.files import is_dicom
from breastlabel.inference import Prediction
from breastlabel.inference.gradcam import peak_in_lesion, thresholded_region
from breastlabel.label.breasts import Breasts
from breastlabel.label.infer import Clock, answer, plain, result_file, result_suffix
from breastlabel.label.options import DEVICES, Options
from breastlabel.label.predictors import ChampionPredictors
from breastlabel.label.systems import MODELS

__all__ = ["ExplainTask", "heat_map_params"]

#: Share of the heat map's maximum from which a pixel belongs to its region (P1, figure 7c).
THRESHOLD = 0.5
_CLASSES = ("predicted", *(c.label for c in LesionClass))
_AUTO = "auto"


class ExplainTask(InferTask):
    """Where a network looked: a float heat map in [0, 1] over the image, and where it is hottest.

    Its type is ``others``, so that Slicer does not offer it as a segmentation. The option ``explain_model``
    names the system; a client's ``model`` is that of the request, which is this task. By default it is the
    first served one that has a checkpoint and analyses the image's modality.

    Args:
        models: the served ones.
    """

    def __init__(self, models: Sequence[str], predictors: ChampionPredictors, breasts: Breasts) -> None:
        super().__init__(
            type=InferType.OTHERS,
            # With labels, Slicer would run it by itself on every new sample.
            labels=[],
            dimension=2,
            description=f"Grad-CAM heat map of the class that {' or '.join(models)} gives, as an image",
            config={
                "explain_model": [_AUTO, *models],
                "explain_class": list(_CLASSES),
                "device": list(DEVICES),
            },
        )
        self.models = list(models)
        self.predictors = predictors
        self.breasts = breasts

    def is_valid(self) -> bool:
        """True: without a checkpoint it is listed too, and says how to train one."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Heat map file and parameters; ``explained_model`` is the system that looked.

        Raises:
            CheckpointError: nothing is trained yet.
            InvalidImageError: the image cannot be read.
            UnknownNameError: the options name another model, class or device than there is.
        """
        options = Options(request)
        asked = options.choice("explain_class", _CLASSES, "predicted")
        explained = None if asked == "predicted" else LesionClass[asked.upper()]
        model = options.choice("explain_model", (_AUTO, *self.models), _AUTO)
        if model == _AUTO:
            model = self._fitting(Path(request["image"]), request.get("image_id"))
        explain = self._breast if MODELS[model].modality is Modality.MG else self._image
        path, params = explain(model, request, explain=True, explain_class=explained)
        # The file holds no label map, so nothing in it has these names.
        del params["label_names"]
        return path, {**params, "explained_model": model}

    def _fitting(self, file: Path, image_id: str | None) -> str:
        """The first model with a checkpoint that analyses the image's modality, or else the likeliest one."""
        modality = self._modality(file, image_id)
        fitting = [m for m in self.models if MODELS[m].modality is modality] or self.models
        trained = (model for model in fitting if self.predictors.registry.has_champion(model))
        return next(trained, fitting[0])

    def _modality(self, file: Path, image_id: str | None) -> Modality | None:
        """None where neither the catalog nor the file says it."""
        if image_id is not None:
            return self.breasts.catalog.image(image_id).modality
        if not is_dicom(file):
            return None
        try:
            facts = header_facts(file)
        except BreastLabelError:
            # What is wrong with the file is said when its pixels are read.
            return None
        return Modality.MG if facts.is_film else facts.keys.modality

    def _image(self, model: str, request: Mapping[str, Any], **asked: Any) -> tuple[str, dict[str, Any]]:
        system = _System(model, MODELS[model].modality, self.predictors)
        return answer(system, request, write=_write, **asked)

    def _breast(self, model: str, request: Mapping[str, Any], **asked: Any) -> tuple[str, dict[str, Any]]:
        clock, options = Clock(), Options(request)
        suffix = result_suffix(options)
        predictor = self.predictors.predictor(model, device=options.device())
        clock.lap("load")
        judged = self.breasts.judge(predictor, Path(request["image"]), request.get("image_id"), **asked)
        clock.split(judged.seconds, rest="gather")
        with result_file(suffix) as path:
            said = _write(path, judged.prediction, judged.image.geometry)
        clock.lap("write")
        params = {**judged.params(judged.asked), **said}
        clock.lap("describe")
        return str(path), plain({**params, "latencies": clock.laps()})


class _System(NamedTuple):
    model: str
    modality: Modality
    predictors: ChampionPredictors


def _write(path: Path, prediction: Prediction, geometry: Geometry) -> Mapping[str, Any]:
    if prediction.heat_map is None:
        raise InvalidImageError("a heat map is required; the network made none; train another one")
    write_image(path, prediction.heat_map, geometry=geometry)
    return {
        "explained": None if prediction.explained is None else prediction.explained.label,
        **heat_map_params(prediction.heat_map, prediction.mask),
    }


def heat_map_params(heat_map: FloatArray, mask: LabelArray) -> dict[str, Any]:
    """What a heat map (rows, cols) says beside the predicted mask.

    Returns:
        ``threshold`` (a share of the maximum), ``region_fraction`` (share of the image above it),
        ``region_in_lesion`` (share of that region inside the mask), ``peak`` ``[row, col]`` and
        ``peak_in_lesion``; the two about the lesion are None where none was predicted.
    """
    region = thresholded_region(heat_map, fraction=THRESHOLD)
    row, col = np.unravel_index(int(heat_map.argmax()), heat_map.shape)
    lesion = mask > 0
    return {
        "threshold": THRESHOLD,
        "region_fraction": float(region.mean()),
        "region_in_lesion": float(lesion[region].mean()) if lesion.any() and region.any() else None,
        "peak": [int(row), int(col)],
        "peak_in_lesion": peak_in_lesion(heat_map, mask) if lesion.any() else None,
    }
