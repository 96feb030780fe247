"""The file that a viewer downloads for an image."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging import image_stem, read_image, write_image
from breastlabel.imaging.volumes import NIFTI_SUFFIXES, NRRD_SUFFIXES, read_volume

__all__ = ["ServedImages"]

_VOLUMES = (*NIFTI_SUFFIXES, *NRRD_SUFFIXES)


class ServedImages:
    """Grey volumes of one slice for images of any kind.

    3D Slicer loads PNG files with similar names as one stack, cannot draw on colour images, and reads a
    single DICOM file only through its database. So everything but a grey NIfTI or NRRD is converted to
    NRRD once, in the image's own geometry, and kept in a cache that can be deleted at any time.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._checksums: dict[tuple[Path, int], str] = {}

    def file(self, image_id: str, source: Path) -> Path:
        """The file to send for an image.

        Raises:
            InvalidImageError: the source cannot be read as one breast image.
        """
        suffix = _suffix(source)
        if suffix in _VOLUMES and read_volume(source, suffix=suffix).array.ndim == 2:
            read_image(source)
            return source
        state = source.stat()
        # A folder an image, so that looking for what is outdated takes no longer where there are many.
        cached = self._cache / image_id / f"{state.st_mtime_ns}-{state.st_size}.nrrd"
        with self._lock:
            if not cached.is_file():
                image = read_image(source)
                write_image(cached, _compact(image.pixels), geometry=image.geometry)
                for other in cached.parent.iterdir():
                    # What starts with a dot another server is just writing.
                    if other != cached and not other.name.startswith("."):
                        with contextlib.suppress(OSError):
                            other.unlink()
        return cached

    def name(self, image_id: str, source: Path) -> str:
        """The name under which the file is sent: the image's id, and a suffix that tells its kind."""
        suffix = _suffix(self.file(image_id, source))
        return image_id + suffix

    def checksum(self, image_id: str, source: Path) -> str:
        """``SHA256:...`` of the file that is sent.

        Slicer keeps downloads by name; with a checksum it notices that another image of the same name
        lies in its cache.
        """
        path = self.file(image_id, source)
        key = path, path.stat().st_mtime_ns
        if key not in self._checksums:
            self._checksums[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return f"SHA256:{self._checksums[key]}"


def _suffix(path: Path) -> str:
    return path.name[len(image_stem(path)) :].lower()


def _compact(pixels: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The smallest type that holds the pixels exactly."""
    for kind in (np.uint8, np.int16, np.uint16):
        limits = np.iinfo(kind)
        if pixels.min() >= limits.min and pixels.max() <= limits.max:
            whole = pixels.astype(kind)
            if np.array_equal(whole, pixels):
                return whole
    return pixels
