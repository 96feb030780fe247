"""Tells whether a file is the one that was looked at before, without reading it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Stamp", "stamp_of"]

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: another stamp, another content."""


def stamp_of(path: Path) -> Stamp | None:
    """The file's stamp; None where it cannot be asked for."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
