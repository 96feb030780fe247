"""From a studies folder to prepared arrays: images alone, or the breasts that they show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training.arrays import Preparation, TrainingArrays
from breastlabel.training.cases import Cases
from breastlabel.training.presets import MODALITIES

if TYPE_CHECKING:
    from breastlabel.catalog import ImageRecord
    from breastlabel.datasets import LabelledImage
    from breastlabel.datasets.sequences import BreastCase
    from breastlabel.errors import BreastLabelError

__all__ = ["in_breasts", "prepare_split"]

_log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


def prepare_split(
    studies: Path,
    split: str,
    preparation: Preparation,
    *,
    model: str = "ultrasound",
    network: HybridNetwork | None = None,
    progress: Progress | None = None,
) -> TrainingArrays | None:
    """The labelled images of a split that the model analyses, prepared; None where there are none.

    Images that are not analysable, cannot be read or cannot be prepared are left out; a warning counts them.

    Args:
        network: for one that takes sequences, the images are put together as breasts, with the views and
            priors that it uses; else each image is a case.
    """
    from breastlabel.catalog import Catalog
    from breastlabel.datasets import load_training_images
    from breastlabel.datasets.sequences import NOT_ANALYSABLE, breast_cases

    modality = MODALITIES[model]
    with Catalog.open(studies) as catalog:
        everything = catalog.images(split=split, include_excluded=False)
    records = [r for r in everything if r.modality is modality and not r.metadata.get(NOT_ANALYSABLE)]
    breasts = None
    if isinstance(network, SequenceNetwork):
        breasts = breast_cases(records, views=network.uses_views, priors=network.uses_priors)
        labelled = {r.image_id for r in records if r.reviewed or r.label is not None}
        breasts = [breast for breast in breasts if labelled.intersection(breast.newest)]
        # A view without a label is part of its breast all the same.
        wanted = {image_id for breast in breasts for image_id in breast.sequence}
    else:
        # An image of which only the class is known teaches the class.
        wanted = {r.image_id for r in records if r.reviewed or r.label is not None}
    left_out: list[str] = []

    def leave_out(record: ImageRecord, error: BreastLabelError) -> None:
        left_out.append(record.image_id)

    def count(done: int) -> None:
        if progress is not None:
            progress(f"reading the {split} split", done, len(wanted))

    images = load_training_images(
        studies,
        split=split,
        modality=modality,
        only=wanted if breasts is not None else {r.image_id for r in records},
        include_unlabelled=breasts is not None,
        on_error=leave_out,
    )
    # The catalog may count images whose labels were removed since or cannot be read.
    first = next(images, None)
    if first is None:
        return None
    read: dict[str, ImageRecord] = {}
    arrays = TrainingArrays.prepare(
        _noted(chain((first,), images), read), preparation, progress=count, on_error=leave_out
    )
    if left_out:
        # File names may carry patients' names, so neither they nor the messages go to the log.
        _log.warning(
            "%d images of the %s split cannot be read or prepared and are left out", len(left_out), split
        )
    return arrays if breasts is None else in_breasts(arrays, breasts, read)


def in_breasts(
    images: TrainingArrays, breasts: Sequence[BreastCase], records: Mapping[str, ImageRecord]
) -> TrainingArrays | None:
    """Images that were prepared one by one, put together as breasts; None where no breast is left.

    The class of a breast is the worst that is known of an image of its newest exam: known now, for a reader's
    label may be newer than the catalog's class. A breast of which neither a class nor an outline is known in
    that exam is left out, and so are images that are in no breast.

    Args:
        images: each a case.
        breasts: their images that are not among ``images`` are left out.
        records: of the images, by id.
    """
    from breastlabel.datasets.sequences import context_of

    place = {str(image_id): i for i, image_id in enumerate(images.ids)}
    kept, members, newest, contexts, labels, invasive = [], [], [], [], [], []
    for breast in breasts:
        ids = [image_id for image_id in breast.sequence if image_id in place]
        judged = [place[image_id] for image_id in ids if image_id in breast.newest]
        known = [int(images.labels[i]) for i in judged if images.labels[i] >= 0]
        if not judged or not (known or images.has_mask[judged].any()):
            continue
        kept.append(breast)
        members.append([place[image_id] for image_id in ids])
        newest.append([image_id in breast.newest for image_id in ids])
        contexts.append(
            np.stack([context_of(records[i], breast.acquired, is_prior=i not in breast.newest) for i in ids])
        )
        labels.append(max(known, default=-1))
        # As `worst_invasive`: invasive before in situ before unknown.
        invasive.append(max(int(images.invasive[i]) for i in judged))
    if not kept:
        return None
    cases = Cases.of_lists([breast.key for breast in kept], members, newest, contexts)
    return TrainingArrays(
        images.images,
        images.masks,
        images.has_mask,
        np.asarray(labels, np.int64),
        images.ids,
        np.asarray([breast.group for breast in kept], str),
        cases,
        np.asarray(invasive, np.int64),
        images.has_boxes,
    ).select(np.arange(len(kept)))


def _noted(items: Iterable[LabelledImage], records: dict[str, ImageRecord]) -> Iterator[LabelledImage]:
    for item in items:
        records[item.record.image_id] = item.record
        yield item
