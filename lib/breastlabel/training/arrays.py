"""Prepared images in memory: what the trainer draws its batches from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from breastlabel.errors import StudiesError

if TYPE_CHECKING:
    from breastlabel.datasets import LabelledImage

__all__ = ["Preparation", "TrainingArrays"]


class Preparation(Protocol):
    """What training needs of a preparation; `breastlabel.transforms` has the real ones."""

    def __call__(self, pixels: npt.NDArray[np.float32]) -> Any: ...

    def mask(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]: ...

    def config(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class TrainingArrays:
    """N images after preparation, with what is known about each.

    Attributes:
        images: (N, H, W) float16 in [0, 1].
        masks: (N, H, W) uint8, 1 in a lesion; zeros where ``has_mask`` is false.
        has_mask: (N,) bool.
        labels: (N,) int64 class of each image, -1 where unknown.
        ids: (N,) image ids.
        groups: (N,) patient or near-duplicate group, the unit of splits and intervals.
    """

    images: npt.NDArray[np.float16]
    masks: npt.NDArray[np.uint8]
    has_mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        lengths = {
            len(a) for a in (self.images, self.masks, self.has_mask, self.labels, self.ids, self.groups)
        }
        if len(lengths) != 1 or self.images.shape != self.masks.shape:
            raise StudiesError(
                f"images, masks, labels and ids must have one length and size; got {sorted(lengths)}, "
                f"{self.images.shape} and {self.masks.shape}; prepare the studies again"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.images.shape[1], self.images.shape[2]

    def fingerprint(self) -> str:
        """A hash of ids, classes and masks: two trainings with the same one saw the same labels."""
        digest = hashlib.sha256()
        for part in (self.ids.astype("S"), self.labels, np.packbits(self.masks.astype(bool))):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def select(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> TrainingArrays:
        """The images at ``index`` (positions or a boolean mask)."""
        return TrainingArrays(
            self.images[index],
            self.masks[index],
            self.has_mask[index],
            self.labels[index],
            self.ids[index],
            self.groups[index],
        )

    @classmethod
    def concatenate(cls, parts: Iterable[TrainingArrays]) -> TrainingArrays:
        """All images of several sets that were prepared alike."""
        sets = list(parts)
        return cls(
            *(
                np.concatenate([getattr(s, name) for s in sets])
                for name in ("images", "masks", "has_mask", "labels", "ids", "groups")
            )
        )

    @classmethod
    def prepare(
        cls,
        items: Iterable[LabelledImage],
        preparation: Preparation,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> TrainingArrays:
        """Read and prepare every image once; augmentation then works on the result.

        Args:
            items: `breastlabel.datasets.load_training_images`.
            preparation: the object that inference will use too.
            progress: called with the number of images done.

        Raises:
            StudiesError: there is no image with a label.
        """
        images, masks, has_mask, labels, ids, groups = [], [], [], [], [], []
        for item in items:
            prepared = preparation(item.image.pixels)
            image = prepared.image
            images.append(image.astype(np.float16))
            mask = None if item.mask is None else preparation.mask(item.mask)
            masks.append(np.zeros(image.shape, np.uint8) if mask is None else (mask > 0).astype(np.uint8))
            has_mask.append(mask is not None)
            labels.append(-1 if item.label is None else int(item.label))
            ids.append(item.record.image_id)
            groups.append(item.record.group)
            if progress is not None:
                progress(len(ids))
        if not ids:
            raise StudiesError(
                "at least one labelled image is required in this split; got none; "
                "label images in the viewer or import a labelled dataset first"
            )
        return cls(
            np.stack(images),
            np.stack(masks),
            np.asarray(has_mask, bool),
            np.asarray(labels, np.int64),
            np.asarray(ids, str),
            np.asarray(groups, str),
        )

    def save(self, path: Path) -> None:
        """Write one compressed ``.npz`` (images as 8 bit), small enough to carry to a training machine."""
        np.savez_compressed(
            path,
            images=np.rint(self.images.astype(np.float32) * 255).astype(np.uint8),
            masks=np.packbits(self.masks.astype(bool), axis=-1),
            has_mask=self.has_mask,
            labels=self.labels,
            ids=self.ids,
            groups=self.groups,
        )

    @classmethod
    def load(cls, path: Path) -> TrainingArrays:
        """Read what `save` wrote; nothing is unpickled."""
        with np.load(path, allow_pickle=False) as packed:
            images = (packed["images"].astype(np.float32) / 255).astype(np.float16)
            masks = np.unpackbits(packed["masks"], axis=-1, count=images.shape[-1])
            return cls(images, masks, packed["has_mask"], packed["labels"], packed["ids"], packed["groups"])
