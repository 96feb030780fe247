"""Images of a studies folder with their newest label maps, for training and evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from breastlabel.catalog import Catalog, ImageRecord, label_path
from breastlabel.datasets.reading import read_record
from breastlabel.errors import BreastLabelError
from breastlabel.imaging import BreastImage, LabelArray, LesionClass, Modality, read_mask

__all__ = ["LabelledImage", "class_of_mask", "load_labelled_image", "load_training_images"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledImage:
    """One image with what is known of it now.

    Attributes:
        record: the catalog's record.
        image: the pixels.
        mask: uint8 label map (rows, cols) of the image's size; None where there is no final label.
        label: class of the image: the mask's where there is one, else the record's; None if neither.
    """

    record: ImageRecord
    image: BreastImage
    mask: LabelArray | None
    label: LesionClass | None


def class_of_mask(mask: LabelArray) -> LesionClass:
    """The worst class that is painted; normal where the mask is empty.

    However large a benign lesion beside it, a malignant one makes the image malignant.
    """
    return LesionClass(int(mask.max(initial=0)))


def load_training_images(
    studies: str | Path,
    *,
    split: str | None,
    modality: Modality | None = None,
    only: Container[str] | None = None,
    include_unlabelled: bool = False,
    on_error: Callable[[ImageRecord, BreastLabelError], None] | None = None,
) -> Iterator[LabelledImage]:
    """Read the images of one split, one at a time, in the order of their ids.

    A final label map overrides the class that the dataset gave, because a reader's correction is newer.
    Excluded images are left out. An image or label that cannot be read, or a label that does not lie on its
    image (`check_alignment`), is left out too, and reported.

    Args:
        split: ``"train"``, ``"val"``, ``"test"``; None for all images that have a split.
        modality: only images of this one; None for all.
        only: ids of the images that are wanted; None for all.
        include_unlabelled: also images with neither label map nor class.
        on_error: called with what could not be read; by default a warning is logged.

    Raises:
        StudiesError: there is no such folder.
        UnknownNameError: no such split.
    """
    with Catalog.open(studies) as catalog:
        records = catalog.images(split=split, include_excluded=False)
    report = on_error or _warn
    for record in records:
        if record.split is None or modality not in (None, record.modality):
            continue
        if only is not None and record.image_id not in only:
            continue
        try:
            labelled = load_labelled_image(studies, record, required=not include_unlabelled)
        except BreastLabelError as error:
            report(record, error)
            continue
        if labelled is not None:
            yield labelled


def load_labelled_image(
    studies: str | Path, record: ImageRecord, *, required: bool = False
) -> LabelledImage | None:
    """Read one image with its newest label map.

    Args:
        required: answer None, without reading the image, where it has neither label map nor class.

    Raises:
        BreastLabelError: the image or its label cannot be read, or the label does not lie on its image.
    """
    # Imported here: importing a dataset needs no torch, which the package of transforms loads.
    from breastlabel.transforms.alignment import check_alignment

    labels = label_path(studies, record.image_id)
    if required and labels is None and record.label is None:
        return None
    image = read_record(studies, record)
    mask = None if labels is None else read_mask(labels, shape=image.shape)
    if mask is not None:
        check_alignment(image.pixels, mask)
    label = LesionClass[record.label.upper()] if record.label is not None else None
    return LabelledImage(record, image, mask, label if mask is None else class_of_mask(mask))


def _warn(record: ImageRecord, error: BreastLabelError) -> None:
    # File names may carry patients' names, so neither they nor the message go to the log.
    _log.warning(
        "one image of the %s split cannot be read (%s) and is left out", record.split, type(error).__name__
    )
