"""What a model said of each image, on disk, so that a scoring that was stopped goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import secrets
import shutil
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from breastlabel.activelearning.pool import Floats
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.stamps import Stamp

__all__ = ["ChunkWriter", "PoolCache", "remove_other_versions"]

_log = logging.getLogger(__name__)

_IDS, _STAMPS = "image_ids", "stamps"
#: Images or seconds after which what is known goes to disk; a kill loses no more.
_CHUNK_IMAGES = 256
_CHUNK_SECONDS = 30.0


class PoolCache:
    """Small arrays of images in files of a few hundred images each, ``chunk-*.npz``, without pickle.

    A chunk appears whole or not at all. Of an image that is in several, the newest counts, and only while
    its file is the one that was scored (`Stamp`). What was made with other settings lies in another folder.

    Args:
        folder: of one model version, ``.breastlabel/scoring/<model>/<version>``.
        settings: all that the arrays depend on beside image and version; JSON values.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        text = json.dumps(dict(settings), sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._settings = text

    def add(
        self, image_ids: Sequence[str], stamps: Sequence[Stamp | None], arrays: Mapping[str, Floats]
    ) -> None:
        """Write a chunk.

        Args:
            image_ids: n of them.
            stamps: of the files that were read.
            arrays: each (n, ...).

        Raises:
            OSError: it cannot be written; nothing is left behind.
        """
        if not image_ids:
            return
        if not (note := self.folder / "settings.json").is_file():
            write_bytes_atomically(note, (self._settings + "\n").encode())
        buffer = io.BytesIO()
        content = {name: np.asarray(array) for name, array in arrays.items()}
        known = np.array([stamp or (-1, -1) for stamp in stamps], dtype=np.int64)
        np.savez(
            buffer,
            **{_IDS: np.array(image_ids, dtype=np.str_), _STAMPS: known},
            **content,
        )
        # Names sort by the time of writing; the letters keep two writers of one moment apart.
        name = f"chunk-{time.time_ns():020d}-{secrets.token_hex(3)}.npz"
        write_bytes_atomically(self.folder / name, buffer.getvalue())

    def known(self, stamps: Mapping[str, Stamp | None]) -> set[str]:
        """Which of these images were scored as their files now are.

        Args:
            stamps: image id to its file's stamp.
        """
        return set(self._newest(stamps))

    def load(
        self, names: Sequence[str], stamps: Mapping[str, Stamp | None]
    ) -> tuple[list[str], dict[str, Floats]]:
        """The ids of `known`, and their arrays of these names, each (n, ...)."""
        rows: dict[Path, list[tuple[int, str]]] = {}
        for image_id, (path, row) in self._newest(stamps).items():
            rows.setdefault(path, []).append((row, image_id))
        n = sum(len(found) for found in rows.values())
        image_ids: list[str] = []
        joined: dict[str, Floats] = {}
        for path, found in rows.items():
            with np.load(path, allow_pickle=False) as chunk:
                for name in names:
                    part = chunk[name][[row for row, _ in found]]
                    # Filled in place, so that the whole is held once.
                    whole = joined.setdefault(name, np.empty((n, *part.shape[1:]), part.dtype))
                    whole[len(image_ids) : len(image_ids) + len(found)] = part
            image_ids += [image_id for _, image_id in found]
        return image_ids, joined

    def _newest(self, stamps: Mapping[str, Stamp | None]) -> dict[str, tuple[Path, int]]:
        """Chunk and row of each of these images; chunks that cannot be read are removed."""
        newest = {}
        for path in sorted(self.folder.glob("chunk-*.npz")):
            try:
                with np.load(path, allow_pickle=False) as chunk:
                    ids, found = chunk[_IDS], chunk[_STAMPS].tolist()
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                what = type(error).__name__
                _log.warning("a file of scores is damaged (%s); its images are scored again", what)
                with contextlib.suppress(OSError):
                    path.unlink()
                continue
            for row, (image_id, stamp) in enumerate(zip(ids.tolist(), found, strict=True)):
                if stamps.get(image_id) == tuple(stamp):
                    newest[image_id] = path, row
        return newest


class ChunkWriter:
    """Gathers a few hundred images' arrays before they go to the cache; the rest goes when it is left.

    Example: ``with ChunkWriter(cache) as writer: writer.add(ids, stamps, arrays)``.
    """

    def __init__(self, cache: PoolCache) -> None:
        self._cache = cache
        self._clear()

    def add(
        self, image_ids: Sequence[str], stamps: Sequence[Stamp | None], arrays: Mapping[str, Floats]
    ) -> None:
        """As `PoolCache.add`."""
        self._ids += image_ids
        self._stamps += stamps
        self._arrays.append(arrays)
        if len(self._ids) >= _CHUNK_IMAGES or time.monotonic() - self._since > _CHUNK_SECONDS:
            self.write()

    def write(self) -> None:
        """Bring what was gathered to the disk."""
        if self._ids:
            names = self._arrays[0]
            joined = {name: np.concatenate([part[name] for part in self._arrays]) for name in names}
            self._cache.add(self._ids, self._stamps, joined)
        self._clear()

    def _clear(self) -> None:
        self._ids: list[str] = []
        self._stamps: list[Stamp | None] = []
        self._arrays: list[Mapping[str, Floats]] = []
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.write()


def remove_other_versions(folder: Path, keep: Iterable[str]) -> None:
    """Remove the caches of a model's versions but for these.

    Args:
        folder: ``.breastlabel/scoring/<model>``.
    """
    kept = set(keep)
    if folder.is_dir():
        for version in folder.iterdir():
            if version.is_dir() and version.name not in kept:
                shutil.rmtree(version, ignore_errors=True)
