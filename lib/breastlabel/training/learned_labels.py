"""Which labels a checkpoint has learned from, so that a later training knows the new ones.

A checkpoint keeps one number for each of them: a hash, keyed with a secret of the studies folder, of the
image's id, class and outline. Whoever has only the checkpoint can neither tell nor test which images those
were. A corrected label has another number, so it counts as new.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from breastlabel.errors import CheckpointError
from breastlabel.training.arrays import TrainingArrays

__all__ = ["LEARNED_LABELS", "label_keys", "new_labels", "read_learned_labels", "write_learned_labels"]

LEARNED_LABELS = "learned-labels.json"


def label_keys(arrays: TrainingArrays, secret: str) -> list[str]:
    """A key of 16 hexadecimal digits for the label of each case, in the arrays' order.

    The label of a breast is its class with all that is known of its images: a corrected outline in one view
    makes it another.

    Args:
        arrays: prepared as the checkpoint prepares them: outlines are compared after preparation.
        secret: the studies folder's (`Catalog.salt`).
    """
    keys = []
    offsets = arrays.cases.offsets
    for case, (first, end) in enumerate(itertools.pairwise(offsets)):
        digest = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        for i in arrays.cases.images[first:end]:
            said = f"{arrays.ids[i]}\0{int(arrays.labels[case])}\0{int(arrays.has_mask[i])}\0"
            digest.update(said.encode())
            digest.update(np.packbits(arrays.masks[i].astype(bool)).tobytes())
        keys.append(digest.hexdigest()[:16])
    return keys


def write_learned_labels(folder: Path, keys: Set[str]) -> None:
    """Write the keys of all labels that a checkpoint's weights have seen into its folder."""
    (folder / LEARNED_LABELS).write_text(json.dumps(sorted(keys)) + "\n", encoding="utf-8")


def read_learned_labels(folder: Path) -> frozenset[str]:
    """The keys that a checkpoint carries; empty where it carries none, as one from elsewhere.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / LEARNED_LABELS
    if not path.is_file():
        return frozenset()
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(str(key) for key in keys)
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{LEARNED_LABELS} of a checkpoint must be a JSON list; that of '{folder.name}' is not; "
            "restore the checkpoint, or remove the file: then all labels count as new"
        ) from error


def new_labels(keys: Sequence[str], learned: Set[str]) -> npt.NDArray[np.bool_]:
    """(C,) whether each case's label is new to a checkpoint that has learned from ``learned``."""
    return np.array([key not in learned for key in keys], dtype=bool)
