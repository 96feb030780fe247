"""The reader who is simulated: knows every label, and tells only those that are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from breastlabel.activelearning.pool import PoolError
from breastlabel.training.arrays import TrainingArrays

__all__ = ["Annotator"]


class Annotator:
    """Labelled images behind a curtain.

    Images and ids are open, masks and classes are not: they come out of ``labelled`` alone, and only of the
    images that were revealed. Asking for one image reveals that one, not the rest of its patient.
    """

    def __init__(self, arrays: TrainingArrays) -> None:
        self._arrays = arrays
        self._position = {str(image_id): i for i, image_id in enumerate(arrays.ids)}
        self._revealed: list[int] = []

    def __len__(self) -> int:
        return len(self._revealed)

    def reveal(self, image_ids: Sequence[str]) -> None:
        """Tell the labels of these images.

        Raises:
            PoolError: one is not in the pool: unknown, or told before.
        """
        told = set(self._revealed)
        for image_id in image_ids:
            position = self._position.get(image_id, -1)
            if position < 0 or position in told:
                raise PoolError(f"images to label must be in the pool; '{image_id}' is not: choose another")
            told.add(position)
            self._revealed.append(position)

    @property
    def labelled(self) -> TrainingArrays:
        """What was told, in the order of the ids."""
        return self._arrays.select(np.sort(np.asarray(self._revealed, dtype=np.int64)))

    @property
    def pool_ids(self) -> list[str]:
        """Images without a label, in the order of ``pool_images``."""
        return [str(image_id) for image_id in self._arrays.ids[self._hidden]]

    @property
    def pool_images(self) -> npt.NDArray[np.float16]:
        """(N, H, W), prepared."""
        return self._arrays.images[self._hidden]

    @property
    def _hidden(self) -> npt.NDArray[np.bool_]:
        hidden = np.ones(len(self._arrays), dtype=bool)
        hidden[self._revealed] = False
        return hidden
