"""Prepared images in memory: what the trainer draws its batches from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError, StudiesError
from breastlabel.training.cases import Cases, Index

if TYPE_CHECKING:
    from breastlabel.catalog import ImageRecord
    from breastlabel.datasets import LabelledImage

__all__ = ["Preparation", "TrainingArrays"]

_log = logging.getLogger(__name__)

_EACH_ALONE = Cases.singles(np.zeros(0, str))
_NOT_KNOWN = np.zeros(0, np.int64)
_NO_BOXES = np.zeros(0, bool)


class Preparation(Protocol):
    """What training needs of a preparation; `breastlabel.transforms` has the real ones."""

    def __call__(self, pixels: npt.NDArray[np.float32]) -> Any: ...

    def config(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class TrainingArrays:
    """N images after preparation that make C cases, with what is known about each.

    Attributes:
        images: (N, H, W) float16 in [0, 1].
        masks: (N, H, W) uint8, 1 in a lesion; filled boxes where ``has_boxes`` is true; else zeros
            where ``has_mask`` is false.
        has_mask: (N,) bool.
        labels: (C,) int64 class of each case, -1 where unknown.
        ids: (N,) image ids.
        groups: (C,) patient or near-duplicate group, the unit of splits and intervals.
        cases: which images make each case; by default each image is one.
        invasive: (C,) int64, 1 where the case is an invasive cancer, 0 where it is one in situ, -1 where
            nobody says so or there is none; by default of all.
        has_boxes: (N,) bool, whether a reader drew boxes around the lesions and no outlines; by default of
            none.
    """

    images: npt.NDArray[np.float16]
    masks: npt.NDArray[np.uint8]
    has_mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    cases: Cases = _EACH_ALONE
    invasive: npt.NDArray[np.int64] = field(default_factory=lambda: _NOT_KNOWN)
    has_boxes: npt.NDArray[np.bool_] = field(default_factory=lambda: _NO_BOXES)

    def __post_init__(self) -> None:
        if self.invasive is _NOT_KNOWN:
            object.__setattr__(self, "invasive", np.full(len(self.labels), -1, np.int64))
        if self.has_boxes is _NO_BOXES:
            object.__setattr__(self, "has_boxes", np.zeros(len(self.images), bool))
        if self.cases is _EACH_ALONE:
            object.__setattr__(self, "cases", Cases.singles(self.ids))
        of_images = {len(a) for a in (self.images, self.masks, self.has_mask, self.ids, self.has_boxes)}
        of_cases = {len(a) for a in (self.labels, self.groups, self.cases, self.invasive)}
        if len(of_images) != 1 or len(of_cases) != 1 or self.images.shape != self.masks.shape:
            raise StudiesError(
                f"images, masks, labels and ids must have one length and size; got {sorted(of_images)} for "
                f"images, {sorted(of_cases)} for cases, {self.images.shape} and {self.masks.shape}; prepare "
                "the studies again"
            )
        if len(self.cases.images) and self.cases.images.max() >= len(self.images):
            raise StudiesError(
                f"the cases' images must be among the {len(self.images)} there are; one is number "
                f"{self.cases.images.max() + 1}; prepare the studies again"
            )

    def __len__(self) -> int:
        """C, the number of cases."""
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def keys(self) -> npt.NDArray[np.str_]:
        """(C,) a name for each case; where each image is one, its id."""
        return self.ids if self.cases.single else self.cases.keys

    @property
    def image_groups(self) -> npt.NDArray[np.str_]:
        """(N,) the patient of each image."""
        if self.cases.single:
            return self.groups
        members = self.cases.members()
        case = np.zeros(len(self.images), np.int64)
        case[members.images] = members.sequence
        return self.groups[case]

    @cached_property
    def image_cases(self) -> npt.NDArray[np.int64]:
        """(N,) the case that each image is judged in, -1 for an image that is only a prior."""
        return self.cases.case_of_image(len(self.images))

    @cached_property
    def box_classes(self) -> npt.NDArray[np.int64]:
        """(N,) the class of the lesions that are drawn in each image; 0 where it is known to show none.

        -1 where nothing is known, or what is drawn contradicts the class of the breast.
        """
        known = (self.has_mask | self.has_boxes) & (self.image_cases >= 0)
        labels = np.where(known, self.labels[self.image_cases], -1)
        drawn = self.masks.any((1, 2))
        return np.where(drawn, np.where(labels > 0, labels, -1), np.where(labels >= 0, 0, -1))

    def fingerprint(self) -> str:
        """A hash of ids, classes and masks: two trainings with the same one saw the same labels."""
        digest = hashlib.sha256()
        parts = [self.ids.astype("S"), self.labels, np.packbits(self.masks.astype(bool))]
        if not self.cases.single:
            parts += [self.cases.offsets, self.cases.images, self.cases.newest]
        # Not where nothing is known: the hash is then that of a version that did not ask.
        if (self.invasive >= 0).any():
            parts.append(self.invasive)
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def select(self, index: Index) -> TrainingArrays:
        """The cases at ``index`` (positions or a boolean mask), with their images."""
        cases, images = self.cases.select(index)
        return TrainingArrays(
            self.images[images],
            self.masks[images],
            self.has_mask[images],
            self.labels[index],
            self.ids[images],
            self.groups[index],
            cases,
            self.invasive[index],
            self.has_boxes[images],
        )

    @classmethod
    def concatenate(cls, parts: Iterable[TrainingArrays]) -> TrainingArrays:
        """All cases of several sets that were prepared alike."""
        sets = list(parts)
        arrays = {name: np.concatenate([getattr(s, name) for s in sets]) for name in _ARRAYS}
        return cls(
            **arrays,
            cases=Cases.concatenate([s.cases for s in sets], [len(s.images) for s in sets]),
        )

    @classmethod
    def prepare(
        cls,
        items: Iterable[LabelledImage],
        preparation: Preparation,
        *,
        progress: Callable[[int], None] | None = None,
        on_error: Callable[[ImageRecord, InvalidImageError], None] | None = None,
    ) -> TrainingArrays:
        """Read and prepare every image once; augmentation then works on the result.

        Args:
            items: `breastlabel.datasets.load_training_images`.
            preparation: the object that inference will use too.
            progress: called with the number of images done.
            on_error: called with an image that cannot be prepared (no breast is found in it), which is left
                out; by default a warning is logged.

        Raises:
            StudiesError: there is no image with a label.
        """
        from breastlabel.datasets.invasiveness import invasive_cancer
        from breastlabel.datasets.lesion_boxes import lesion_boxes, painted_boxes

        images, masks, has_mask, labels, ids, groups = [], [], [], [], [], []
        invasive, has_boxes = [], []
        for done, item in enumerate(items, 1):
            if progress is not None:
                progress(done)
            try:
                prepared = preparation(item.image.pixels)
            except InvalidImageError as error:
                (on_error or _warn)(item.record, error)
                continue
            image = prepared.image
            images.append(image.astype(np.float16))
            # By the geometry of this very image: it may depend on the pixels, as a breast's crop does.
            drawn = item.mask
            if drawn is None and (boxes := lesion_boxes(item.record, None)) is not None:
                drawn = painted_boxes(boxes, item.image.shape)
            mask = None if drawn is None else prepared.geometry.apply_mask(drawn)
            masks.append(np.zeros(image.shape, np.uint8) if mask is None else (mask > 0).astype(np.uint8))
            has_mask.append(item.mask is not None)
            has_boxes.append(item.mask is None and mask is not None)
            labels.append(-1 if item.label is None else int(item.label))
            ids.append(item.record.image_id)
            groups.append(item.record.group)
            said = invasive_cancer(item.record, item.label)
            invasive.append(-1 if said is None else int(said))
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
            invasive=np.asarray(invasive, np.int64),
            has_boxes=np.asarray(has_boxes, bool),
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
            invasive=self.invasive,
            has_boxes=self.has_boxes,
            **self.cases.arrays(),
        )

    @classmethod
    def load(cls, path: Path) -> TrainingArrays:
        """Read what `save` wrote; nothing is unpickled."""
        with np.load(path, allow_pickle=False) as packed:
            images = (packed["images"].astype(np.float32) / 255).astype(np.float16)
            masks = np.unpackbits(packed["masks"], axis=-1, count=images.shape[-1])
            ids = packed["ids"]
            return cls(
                images,
                masks,
                packed["has_mask"],
                packed["labels"],
                ids,
                packed["groups"],
                # A pack from before there were cases has none: each image is one.
                Cases.from_arrays(packed) if "case_keys" in packed else Cases.singles(ids),
                packed.get("invasive", _NOT_KNOWN),
                packed.get("has_boxes", _NO_BOXES),
            )


_ARRAYS = ("images", "masks", "has_mask", "labels", "ids", "groups", "invasive", "has_boxes")


def _warn(record: ImageRecord, error: InvalidImageError) -> None:
    # File names may carry patients' names, so neither they nor the message go to the log.
    _log.warning("one image of the %s split cannot be prepared and is left out", record.split)
