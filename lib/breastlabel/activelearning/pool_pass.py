"""One pass over images: each is read once, shown to the source once, and what it says is kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.pool import Floats, PoolOutputs
from breastlabel.activelearning.pool_cache import ChunkWriter, PoolCache
from breastlabel.activelearning.pool_reader import ImageFile, ReadImage, read_ahead
from breastlabel.activelearning.sources import Source
from breastlabel.imaging.stamps import Stamp
from breastlabel.jobs.resources import available_cores

__all__ = ["PassCounts", "batches", "load_pool", "read_pool"]


@dataclass
class PassCounts:
    """How a pass went.

    Attributes:
        read: images that were read, shown to the source and kept.
        damaged: files that are no usable image.
        unreached: how many files could not be reached; they may be there next time.
        failed: how many images the source's answer was no finite number for.
        stopped: whether the caller ended it.
    """

    read: int = 0
    damaged: list[ReadImage] = field(default_factory=list)
    unreached: int = 0
    failed: int = 0
    stopped: bool = False


def read_pool(
    files: Sequence[ImageFile],
    source: Source,
    cache: PoolCache,
    *,
    batch_size: int,
    progress: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> PassCounts:
    """Ask the source about each file and keep the answers; memory does not grow with the number of files.

    Args:
        files: whose answers the cache does not have.
        batch_size: images that are shown at once.
        progress: called with how many files are done, after each batch.
        cancelled: asked before each batch; true ends the pass, and what was done is kept. So it is where an
            exception ends it.
    """
    counts = PassCounts()
    with ChunkWriter(cache) as writer:
        for done, batch in batches(files, source, batch_size=batch_size):
            if cancelled():
                counts.stopped = True
                break
            readable = [read for read in batch if _is_readable(read, counts)]
            if readable:
                _show(readable, source, writer, counts)
            progress(done)
    return counts


def _show(reads: list[ReadImage], source: Source, writer: ChunkWriter, counts: PassCounts) -> None:
    arrays = source.arrays(np.stack([read.prepared for read in reads if read.prepared is not None]))
    # In a chunk the image comes first, whatever comes first in the pool.
    by_image = {need: np.moveaxis(a, 1, 0) if need is Need.PASSES else a for need, a in arrays.items()}
    finite = _finite_rows(by_image)
    kept = [read for read, good in zip(reads, finite, strict=True) if good]
    counts.read += len(kept)
    counts.failed += len(reads) - len(kept)
    writer.add(
        [read.file.image_id for read in kept],
        [read.stamp for read in kept],
        {need.value: array[finite] for need, array in by_image.items()},
    )


def batches(
    files: Sequence[ImageFile], source: Source, *, batch_size: int, keep_image: bool = False
) -> Iterator[tuple[int, list[ReadImage]]]:
    """(how many files are done with it, batch) of the files, read ahead while the caller computes."""
    readers = max(1, min(4, available_cores() // 2))
    reads = read_ahead(files, source.prepare, ahead=2 * batch_size, readers=readers, keep_image=keep_image)
    batch: list[ReadImage] = []
    for done, read in enumerate(reads, start=1):
        batch.append(read)
        if len(batch) == batch_size or done == len(files):
            yield done, batch
            batch = []


def load_pool(cache: PoolCache, stamps: dict[str, Stamp | None], needs: frozenset[Need]) -> PoolOutputs:
    """The pool of the images that are known, with the arrays that are needed."""
    image_ids, arrays = cache.load([need.value for need in sorted(needs)], stamps)
    passes = Need.PASSES.value
    if passes in arrays:
        arrays[passes] = np.moveaxis(arrays[passes], 0, 1)
    return PoolOutputs(image_ids=image_ids, **arrays)


def _is_readable(read: ReadImage, counts: PassCounts) -> bool:
    """Whether the image can be shown; else it is counted."""
    if read.prepared is not None:
        return True
    if read.is_damaged:
        counts.damaged.append(read)
    else:
        counts.unreached += 1
    return False


def _finite_rows(arrays: dict[Need, Floats]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    rows = [np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays.values()]
    return np.asarray(np.logical_and.reduce(rows))
