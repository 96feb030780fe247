"""What one trained row says of its test cases: small enough to keep, so that nothing is trained twice."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.atomic import write_bytes_atomically

if TYPE_CHECKING:
    from breastlabel.training.arrays import TrainingArrays

__all__ = ["Answers", "baseline_answers", "network_answers"]


@dataclass(frozen=True)
class Answers:
    """C judged cases, and the D images of them in which a reader outlined a lesion.

    Attributes:
        labels: (C,) the reader's class, -1 where unknown.
        probabilities: (C, 3), calibrated.
        groups: (C,) the patient, unit of the intervals; never written into a report.
        dice: (D,) on the prepared images; a missed lesion is 0. Empty where the row outlines nothing.
        dice_groups: (D,) the patient of each.
        invasive: (C,) 1 for an invasive cancer, 0 for one in situ, -1 where unknown or none.
        invasive_scores: (C,) probability that it is invasive, NaN where the row does not tell.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: npt.NDArray[np.str_]
    dice: npt.NDArray[np.float64]
    dice_groups: npt.NDArray[np.str_]
    invasive: npt.NDArray[np.int64]
    invasive_scores: npt.NDArray[np.float64]

    def save(self, path: Path, origin: str) -> None:
        """Keep them, with what they come from."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        np.savez_compressed(buffer, origin=np.array(origin), **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path, origin: str) -> Answers | None:
        """Those that were kept, if they come from the same; nothing is unpickled."""
        try:
            with np.load(path, allow_pickle=False) as packed:
                if str(packed["origin"]) != origin:
                    return None
                return cls(**{each.name: packed[each.name] for each in fields(cls)})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None


def network_answers(folder: Path, arrays: TrainingArrays, *, device: str | None) -> Answers:
    """Of a trained checkpoint, on the prepared images, with its temperature and mask threshold."""
    from breastlabel.inference.calibration import apply_temperature
    from breastlabel.inference.readout import Readout
    from breastlabel.training.checkpoint import load_checkpoint
    from breastlabel.training.precision import best_device
    from breastlabel.training.validation import dice_scores, judged_masks, run_network

    checkpoint = load_checkpoint(folder)
    network: Any = checkpoint.network
    network.to(best_device(device)).eval()
    outputs = run_network(network, arrays)
    judged = judged_masks(network, arrays) & arrays.masks.any((1, 2))
    threshold = checkpoint.spec["thresholds"]["mask"]
    told = outputs.invasive_logits
    return Answers(
        arrays.labels,
        apply_temperature(outputs.class_logits, checkpoint.spec["calibration"]["temperature"]),
        arrays.groups,
        dice_scores(outputs.mask_logits[judged], arrays.masks[judged], threshold=threshold),
        arrays.image_groups[judged],
        arrays.invasive,
        np.full(len(arrays), np.nan) if told is None else Readout.of(checkpoint.spec).invasive(told),
    )


def baseline_answers(name: str, arrays: dict[str, TrainingArrays], *, seed: int) -> Answers:
    """Of a `CadBaseline` that learns from train and val together, whose settings it chooses by folds."""
    from breastlabel.evaluation.cad_baselines import CadBaseline
    from breastlabel.training.arrays import TrainingArrays

    learn = TrainingArrays.concatenate([arrays["train"], arrays["val"]])
    learn = learn.select(np.flatnonzero(learn.labels >= 0))
    baseline = CadBaseline(name, seed=seed)
    with warnings.catch_warnings():
        # Where patients are few, a fold may lack a class that is answered in it.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        baseline.fit(_features(learn), learn.labels, learn.groups)
    test = arrays["test"]
    nothing = np.zeros(0)
    return Answers(
        test.labels,
        baseline.predict_proba(_features(test)).astype(np.float64),
        test.groups,
        nothing,
        np.zeros(0, str),
        test.invasive,
        np.full(len(test), np.nan),
    )


def _features(arrays: TrainingArrays) -> npt.NDArray[np.float32]:
    """(C, F) of the last image of each case."""
    from breastlabel.evaluation.cad_baselines import cad_features

    last = arrays.cases.images[arrays.cases.offsets[1:] - 1]
    return np.stack([cad_features(arrays.images[i].astype(np.float32)) for i in last])
