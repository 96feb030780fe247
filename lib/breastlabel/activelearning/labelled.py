"""What a model says of images that have a label: where they lie, and how far it disagrees with the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from breastlabel.activelearning.pool import Doubles, Floats
from breastlabel.activelearning.pool_cache import ChunkWriter, PoolCache
from breastlabel.activelearning.pool_pass import batches
from breastlabel.activelearning.pool_reader import ImageFile, ReadImage
from breastlabel.activelearning.sources import Source
from breastlabel.catalog import Catalog
from breastlabel.errors import BreastLabelError
from breastlabel.imaging import LabelArray, read_mask
from breastlabel.imaging.stamps import Stamp, stamp_of
from breastlabel.inference import Predictor

__all__ = ["LabelledImages", "disagreement", "read_labelled"]

_FEATURES, _DISAGREEMENT = "features", "disagreement"


class LabelledImages(NamedTuple):
    """Of L labelled images.

    Attributes:
        features: (L, D); None where none can be read.
        disagreements: `disagreement` of each that has a final label map and could be compared.
        stopped: whether the caller ended the pass.
    """

    features: Floats | None
    disagreements: dict[str, float]
    stopped: bool = False


def disagreement(proposed: LabelArray, final: LabelArray) -> float:
    """One less the Dice of two label maps, in which pixels agree that have the same class.

    So an outline painted as benign where the reader painted malignant disagrees altogether. Two empty maps
    agree.

    Args:
        proposed: (rows, cols), 0 or a lesion class.
        final: the same shape.

    Returns:
        0 to 1.
    """
    total = np.count_nonzero(proposed) + np.count_nonzero(final)
    if total == 0:
        return 0.0
    return 1.0 - 2.0 * float(np.count_nonzero((proposed == final) & (final > 0))) / total


def read_labelled(
    catalog: Catalog,
    files: Mapping[str, ImageFile],
    source: Source,
    cache: PoolCache,
    *,
    predictor: Predictor | None,
    batch_size: int,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> LabelledImages:
    """Read each labelled image once that is not known with its present label.

    Args:
        files: the images that are reviewed; only those with a final label map are compared.
        predictor: makes the masks as they are served; without one nothing is compared.
        progress: called with how many files are done, and of how many.
        cancelled: asked before each batch; what was done is kept.
    """
    labels = catalog.labels.current_many()
    # The label's number in the place of the size: with another label the image is compared again.
    stamps: dict[str, Stamp | None] = {
        image_id: (labels[image_id].label_id if image_id in labels else 0, found[1])
        for image_id, file in files.items()
        if (found := stamp_of(file.path)) is not None
    }
    known = cache.known(stamps)
    unknown = [files[image_id] for image_id in stamps if image_id not in known]
    stopped = False

    def final(image_id: str) -> LabelArray | None:
        return read_mask(catalog.labels.path(labels[image_id])) if image_id in labels else None

    with ChunkWriter(cache) as writer:
        for done, batch in batches(unknown, source, batch_size=batch_size, keep_image=predictor is not None):
            if stopped := cancelled():
                break
            reads = [read for read in batch if read.prepared is not None]
            if reads:
                features = source.features(np.stack([r.prepared for r in reads if r.prepared is not None]))
                differ = _disagreements(reads, predictor, final)
                ids = [read.file.image_id for read in reads]
                good = np.flatnonzero(np.isfinite(features).all(axis=1))
                arrays = {_FEATURES: features[good], _DISAGREEMENT: differ[good]}
                writer.add([ids[i] for i in good], [stamps[ids[i]] for i in good], arrays)
            progress(done, len(unknown))
    ids, known_arrays = cache.load([_FEATURES, _DISAGREEMENT], stamps)
    if not ids:
        return LabelledImages(None, {}, stopped)
    compared = zip(ids, known_arrays[_DISAGREEMENT].tolist(), strict=True)
    return LabelledImages(
        known_arrays[_FEATURES],
        {image_id: value for image_id, value in compared if np.isfinite(value)},
        stopped,
    )


def _disagreements(
    reads: list[ReadImage], predictor: Predictor | None, final: Callable[[str], LabelArray | None]
) -> Doubles:
    """NaN where there is no label map, or none that fits."""
    found = np.full(len(reads), np.nan)
    if predictor is None:
        return found
    images = [read.image for read in reads if read.image is not None]
    for index, prediction in predictor.predict_many(images, batch_size=len(images), on_error=lambda *_: None):
        try:
            mask = final(reads[index].file.image_id)
        except (BreastLabelError, OSError):
            continue
        if mask is not None and mask.shape == prediction.mask.shape:
            found[index] = disagreement(prediction.mask, mask)
    return found
