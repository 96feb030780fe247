"""The inference tasks for mammography: one image is asked for, its breast is judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from breastlabel.findings import LABEL_NAMES
from breastlabel.imaging import LabelArray, write_mask
from breastlabel.inference import Predictor
from breastlabel.inference.region_growing import grow_regions
from breastlabel.label.breasts import Breasts, JudgedBreast
from breastlabel.label.infer import (
    MAX_PASSES,
    Clock,
    plain,
    result_file,
    result_suffix,
    superpixels_of,
)
from breastlabel.label.options import DEVICES, Options
from breastlabel.label.predictors import ChampionPredictors
from breastlabel.label.proposals import keep_proposal, painted

__all__ = ["BreastTask", "ClassTask", "OutlineTask", "RegionsTask"]

#: In Slicer lists become choices, and entries must be text.
_PASSES = ("0", "10", "20", "50")


class BreastTask(InferTask):
    """A system for mammography as MONAI Label's inference task.

    The request holds ``image``, a path that the server chose, and ``image_id`` where the image is of the
    studies folder; the other views and the older exams are then found in the catalog. The answer is the path
    of a temporary file, which the caller removes, and the parameters that go with it.
    """

    kind: ClassVar[InferType] = InferType.CLASSIFICATION
    segments: ClassVar[Mapping[str, int]] = {}
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"uncertainty_passes": _PASSES, "device": DEVICES}

    def __init__(
        self, model: str, predictors: ChampionPredictors, breasts: Breasts, *, description: str
    ) -> None:
        super().__init__(
            type=self.kind,
            labels=dict(self.segments) or [],
            dimension=2,
            description=description,
            config={name: list(choices) for name, choices in self.choices.items()},
        )
        self.model = model
        self.predictors = predictors
        self.breasts = breasts

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, and which version serves (None: nothing is trained yet)."""
        return {**super().info(), "checkpoint_version": self.predictors.version(self.model)}

    def is_valid(self) -> bool:
        """True: a task without a checkpoint is listed too, and says how to train one."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Mask file and parameters; see `breastlabel.findings.BreastResults` for what they say.

        Raises:
            CheckpointError: nothing is trained yet.
            InvalidImageError: the image cannot be read, or not be analysed.
        """
        clock, options = Clock(), Options(request)
        suffix = result_suffix(options)
        passes = options.integer("uncertainty_passes", 0, low=0, high=MAX_PASSES)
        predictor = self.predictors.predictor(
            self.model, device=options.device(), superpixels=superpixels_of(options)
        )
        clock.lap("load")
        judged = self.breasts.judge(
            predictor, Path(request["image"]), request.get("image_id"), uncertainty_passes=passes
        )
        clock.split(judged.seconds, rest="gather")
        with result_file(suffix) as path:
            said = self.write(path, judged, predictor)
            clock.lap("write")
            params = {**judged.params(judged.asked), **said}
            clock.lap("describe")
            if request.get("image_id") is not None:
                params |= self.keep(judged, suffix)
                clock.lap("keep")
        return str(path), plain({**params, "latencies": clock.laps()})

    @abstractmethod
    def write(self, path: Path, judged: JudgedBreast, predictor: Predictor) -> Mapping[str, Any]:
        """Write the answer's file; what is to be said of it."""

    def keep(self, judged: JudgedBreast, suffix: str) -> Mapping[str, Any]:
        """Keep what belongs to other images of the studies folder, and say what."""
        return {}


class OutlineTask(BreastTask):
    """Outlines lesions in all views of a breast; the answer is the mask of the image asked about.

    Those of the exam's other views are kept as their newest proposals, so that they are there when the reader
    opens them; masks of older exams are not, since nobody is asked to read those anew.
    """

    kind = InferType.SEGMENTATION
    segments = LABEL_NAMES
    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        "superpixels": ("auto", "on", "off"),
        **BreastTask.choices,
    }

    def write(self, path: Path, judged: JudgedBreast, predictor: Predictor) -> Mapping[str, Any]:
        """The mask, painted with the class."""
        write_mask(path, judged.prediction.mask, geometry=judged.image.geometry)
        return {}

    def keep(self, judged: JudgedBreast, suffix: str) -> Mapping[str, Any]:
        """The other views' masks; ``proposals`` names those views."""
        siblings = judged.siblings()
        for image_id in siblings:
            index = judged.answer.index(image_id)
            mask, image = judged.answer.prediction.images[index].mask, judged.answer.images[index]
            params = plain({**judged.params(image_id), "image_id": image_id})
            with result_file(suffix) as path:
                write_mask(path, mask, geometry=image.geometry)
                keep_proposal(
                    self.breasts.catalog,
                    image_id,
                    path,
                    model=self.model,
                    params=params,
                    label=painted(params),
                )
                path.unlink()
        return {"proposals": siblings}


class ClassTask(BreastTask):
    """Gives a breast's class and outlines nothing: the mask is empty.

    It names no labels, so that Slicer neither offers it as a segmentation nor runs it by itself. Its empty
    mask is no proposal that the breast is normal, and is never kept.
    """

    def write(self, path: Path, judged: JudgedBreast, predictor: Predictor) -> Mapping[str, Any]:
        """The empty mask."""
        write_mask(path, judged.prediction.mask, geometry=judged.image.geometry)
        return {}


class RegionsTask(ClassTask):
    """P2: a class, and the regions of interest that stand out before any network looked at them."""

    def write(self, path: Path, judged: JudgedBreast, predictor: Predictor) -> Mapping[str, Any]:
        """The regions' mask, 1 in all of them; their contrasts with what is around, the highest first."""
        prepared = self.breasts.images.prepare(predictor.checkpoint.preparation, judged.image)
        grown = grow_regions(prepared.image)
        restored = prepared.geometry.restore(grown.mask.astype(np.float32)[None])[0]
        mask: LabelArray = (restored >= 0.5).astype(np.uint8)
        write_mask(path, mask, geometry=judged.image.geometry)
        return {
            "label_names": {"region of interest": 1},
            "regions": [{"contrast": round(float(contrast), 4)} for contrast in grown.contrast],
        }
