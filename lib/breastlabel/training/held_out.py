"""Evidence for a fine-tuning where the validation split is too small: new labels, held out in turn.

The champion has never seen the new labels. Fine-tuning on all folds of them but one, and asking about the
one, gives an answer to each new label by a network that has not seen it either. These are answers of the
recipe, not of the very weights that are kept, and of a training with fewer labels, so they err on the
careful side.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import CheckpointError
from breastlabel.training.answers import Answers
from breastlabel.training.arrays import TrainingArrays

__all__ = ["HELD_OUT", "HeldOut", "deal_folds", "read_held_out"]

HELD_OUT = "held-out.json"


@dataclass(frozen=True)
class HeldOut:
    """Answers to the same new labels, before and after fine-tuning.

    Attributes:
        champion: the version that fine-tuning started from.
        before: its answers.
        after: those of networks that were fine-tuned without the image's patient.
    """

    champion: str
    before: Answers
    after: Answers

    def write(self, folder: Path) -> None:
        """Write it into a checkpoint's folder, with numbers in place of images and patients."""
        patients = {group: i for i, group in enumerate(dict.fromkeys(self.before.groups.values()))}
        images: list[dict[str, Any]] = [
            {
                "patient": patients[self.before.groups[i]],
                "malignant": self.before.malignant.get(i),
                "dice": [self.before.dice[i], self.after.dice[i]] if i in self.before.dice else None,
                "score": [self.before.scores[i], self.after.scores[i]] if i in self.before.scores else None,
            }
            for i in self.before.groups
        ]
        content = {"champion": self.champion, "images": images}
        (folder / HELD_OUT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_held_out(folder: Path) -> HeldOut | None:
    """What a checkpoint carries; None where it carries none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / HELD_OUT
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {f"held-out-{n}": image for n, image in enumerate(content["images"])}
        before, after = (
            Answers(
                {i: float(v["dice"][side]) for i, v in images.items() if v["dice"] is not None},
                {i: float(v["score"][side]) for i, v in images.items() if v["score"] is not None},
                {i: bool(v["malignant"]) for i, v in images.items() if v["malignant"] is not None},
                {i: f"held-out-{int(v['patient'])}" for i, v in images.items()},
            )
            for side in (0, 1)
        )
        return HeldOut(str(content["champion"]), before, after)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CheckpointError(
            f"{HELD_OUT} of a checkpoint must be as training wrote it; that of '{folder.name}' is not "
            f"({type(error).__name__}); train again"
        ) from error


def deal_folds(arrays: TrainingArrays, chosen: npt.NDArray[np.bool_], folds: int) -> npt.NDArray[np.int64]:
    """The fold of each chosen case, -1 of the others; a patient's cases share one.

    Patients are dealt out in turns, class by class, so that each fold has its share of each class.

    Returns:
        (C,) int64 below ``folds``, and below the number of patients.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i in np.flatnonzero(chosen):
        members[str(arrays.groups[i])].append(int(i))
    # A patient with cases of several classes counts as the gravest.
    order = sorted(members, key=lambda group: (-max(arrays.labels[members[group]]), group))
    fold = np.full(len(arrays), -1, dtype=np.int64)
    for turn, group in enumerate(order):
        fold[members[group]] = turn % folds
    return fold
