"""What a model says of every unlabelled image: the input of selection.

Axes, here and in the whole of this package: N images of the pool, T stochastic passes (dropout or members
of an ensemble), K classes in the order ("normal", "benign", "malignant"), D features of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import BreastLabelError

__all__ = ["Doubles", "Floats", "PoolError", "PoolOutputs", "check_rows"]

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

# Half-precision softmax sums to one no better than this.
SUM_TOLERANCE = 1e-2


class PoolError(BreastLabelError, ValueError):
    """The pool is too small, its arrays do not fit each other, or one that is needed is missing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PoolOutputs:
    """The pool and what is known of it; an object that exists is valid.

    Without a model only ``image_ids`` and ``features`` (of any encoder, or plain image statistics) are
    there.

    Args:
        image_ids: N different ids.
        class_probabilities: (N, K), each row summing to one; of several passes, their mean.
        passes: (T, N, K), class probabilities of each pass.
        features: (N, D), what the last layer sees.
        mask_scores: (N,), how far the passes' masks disagree (``scores.mask_disagreements``).
        expected_edits: (N,), how much of the mask a reader would change (``expected_edit``).

    Raises:
        PoolError: a shape does not fit, a value is not finite, probabilities do not sum to one, or an id
            comes twice.
    """

    image_ids: Sequence[str]
    class_probabilities: Floats | None = None
    passes: Floats | None = None
    features: Floats | None = None
    mask_scores: Floats | None = None
    expected_edits: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.image_ids)
        if len(set(self.image_ids)) != n:
            raise PoolError(f"the ids of the pool must differ; {n - len(set(self.image_ids))} come again")
        check_rows("class_probabilities", self.class_probabilities, ("N", "K"), n=n)
        check_rows("passes", self.passes, ("T", "N", "K"), n=n)
        check_rows("features", self.features, ("N", "D"), n=n)
        check_rows("mask_scores", self.mask_scores, ("N",), n=n)
        check_rows("expected_edits", self.expected_edits, ("N",), n=n)
        _check_distribution("class_probabilities", self.class_probabilities)
        _check_distribution("passes", self.passes)
        if self.passes is not None and len(self.passes) == 0:
            raise PoolError("passes must hold one pass or more; got none: leave it out instead")
        if self.class_probabilities is not None and self.passes is not None:
            k, k_passes = self.class_probabilities.shape[-1], self.passes.shape[-1]
            if k != k_passes:
                raise PoolError(
                    f"class_probabilities and passes must have the same classes; got {k} and {k_passes}"
                )

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def has_model(self) -> bool:
        """Whether anything but features is there: false on a cold start."""
        outputs = (self.class_probabilities, self.passes, self.mask_scores, self.expected_edits)
        return any(output is not None for output in outputs)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> PoolOutputs:
        """The images at these indices, in this order."""
        rows = np.asarray(indices, dtype=np.intp)
        passes = self.passes
        return PoolOutputs(
            image_ids=[self.image_ids[i] for i in rows],
            class_probabilities=_rows(self.class_probabilities, rows),
            passes=None if passes is None else passes[:, rows],
            features=_rows(self.features, rows),
            mask_scores=_rows(self.mask_scores, rows),
            expected_edits=_rows(self.expected_edits, rows),
        )


def check_rows(name: str, array: Floats | None, axes: tuple[str, ...], *, n: int | None = None) -> None:
    """Raise PoolError unless the array has these axes, N = ``n`` (where given), and finite values."""
    if array is None:
        return
    wanted = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
    if n is not None:
        wanted += f" with N = {n}"
    fits = array.ndim == len(axes) and (n is None or array.shape[axes.index("N")] == n)
    if not fits:
        raise PoolError(f"{name} must be {wanted}; got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise PoolError(f"{name} must be finite; got NaN or infinity: check the model's outputs")


def _check_distribution(name: str, array: Floats | None) -> None:
    if array is None or array.size == 0:
        return
    off = float(np.max(np.abs(array.sum(axis=-1, dtype=np.float64) - 1.0)))
    if off > SUM_TOLERANCE or float(array.min()) < 0.0:
        raise PoolError(f"{name} must be probabilities that sum to one; got sums off by {off:.3g}")


def _rows(array: Floats | None, rows: npt.NDArray[np.intp]) -> Floats | None:
    return None if array is None else array[rows]
