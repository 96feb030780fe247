"""The Grad-CAM heat map of an image, as an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import FloatArray, Geometry, LabelArray, LesionClass, Modality, write_image
from breastlabel.inference import Prediction
from breastlabel.inference.gradcam import peak_in_lesion, thresholded_region
from breastlabel.label.infer import answer
from breastlabel.label.options import DEVICES, Options
from breastlabel.label.predictors import ChampionPredictors

__all__ = ["ExplainTask", "heat_map_params"]

#: Share of the heat map's maximum from which a pixel belongs to its region (P1, figure 7c).
THRESHOLD = 0.5
_CLASSES = ("predicted", *(c.label for c in LesionClass))


class ExplainTask(InferTask):
    """Where the network looked: a float heat map in [0, 1] over the image, and where it is hottest.

    Its type is ``others``, so that Slicer does not offer it as a segmentation.
    """

    def __init__(self, model: str, predictors: ChampionPredictors, *, modality: Modality) -> None:
        super().__init__(
            type=InferType.OTHERS,
            # With labels, Slicer would run it by itself on every new sample.
            labels=[],
            dimension=2,
            description=f"Grad-CAM heat map of {model}'s class, as an image",
            config={"explain_class": list(_CLASSES), "device": list(DEVICES)},
        )
        self.model = model
        self.modality = modality
        self.predictors = predictors

    def is_valid(self) -> bool:
        """True: without a checkpoint it is listed too, and says how to train one."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Heat map file and parameters.

        Raises:
            CheckpointError: nothing is trained yet.
            InvalidImageError: the image cannot be read.
        """
        asked = Options(request).choice("explain_class", _CLASSES, "predicted")
        explained = None if asked == "predicted" else LesionClass[asked.upper()]
        path, params = answer(self, request, write=self._write, explain=True, explain_class=explained)
        # The file holds no label map, so nothing in it has these names.
        del params["label_names"]
        return path, params

    def _write(self, path: Path, prediction: Prediction, geometry: Geometry) -> Mapping[str, Any]:
        if prediction.heat_map is None:
            raise InvalidImageError(f"a heat map is required; {self.model} made none; train another network")
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
