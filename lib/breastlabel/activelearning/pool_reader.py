"""Images of a catalog, read and prepared ahead of the network that is to see them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.imaging import BreastImage, FloatArray, Modality, read_image
from breastlabel.imaging.stamps import Stamp, stamp_of

__all__ = ["ImageFile", "ReadImage", "read_ahead"]


@dataclass(frozen=True)
class ImageFile:
    """Where an image of the catalog lies."""

    image_id: str
    path: Path
    modality: Modality


@dataclass(frozen=True)
class ReadImage:
    """An image that was read, or why it was not.

    Attributes:
        file: which.
        stamp: of the file that was read; None where there is none.
        prepared: (H, W) as the network wants it; None where it cannot be read.
        image: itself, where the caller wants it beside.
        error: why it could not be read.
    """

    file: ImageFile
    stamp: Stamp | None
    prepared: FloatArray | None = None
    image: BreastImage | None = None
    error: Exception | None = None

    @property
    def is_damaged(self) -> bool:
        """Whether the file itself is no usable image; false where it only could not be reached."""
        return isinstance(self.error, InvalidImageError)


def read_ahead(
    files: Iterable[ImageFile],
    prepare: Callable[[FloatArray], FloatArray],
    *,
    ahead: int = 16,
    readers: int = 1,
    keep_image: bool = False,
) -> Iterator[ReadImage]:
    """Read each file once, in order, in threads of their own, while the caller computes.

    Decoding and filters let go of Python's lock, so reading costs the caller nothing while it is no slower
    than computing. At most ``ahead`` images are held.

    Args:
        files: drawn as they are needed.
        prepare: pixels (rows, cols) -> (H, W).
        ahead: how many may be read before they are asked for.
        readers: threads.
        keep_image: whether the image itself is wanted beside what was prepared.
    """
    stream = iter(files)
    waiting: deque[Future[ReadImage]] = deque()
    with ThreadPoolExecutor(readers, "pool-reader") as threads:
        try:
            for file in islice(stream, max(1, ahead)):
                waiting.append(threads.submit(_read, file, prepare, keep_image))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(threads.submit(_read, file, prepare, keep_image) for file in islice(stream, 1))
                yield done
        finally:
            # Where the caller stops early, nobody waits for what was not begun.
            threads.shutdown(wait=False, cancel_futures=True)


def _read(file: ImageFile, prepare: Callable[[FloatArray], FloatArray], keep_image: bool) -> ReadImage:
    # Asked before it is read: where the file is replaced meanwhile, the stamp is the old one's, and the image
    # is scored again next time.
    stamp = stamp_of(file.path)
    try:
        image = read_image(file.path, modality=file.modality)
        prepared = prepare(image.pixels)
    except (BreastLabelError, OSError) as error:
        return ReadImage(file, stamp, error=error)
    return ReadImage(file, stamp, prepared, image if keep_image else None)
