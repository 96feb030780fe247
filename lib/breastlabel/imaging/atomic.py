"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

__all__ = ["fsync_folder", "replace_folder", "restore_folder", "sync_files", "write_bytes_atomically"]


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is at every moment either the old file or the new one, on disk.

    The temporary file lies beside the target under a name that starts with a dot, because a rename is
    atomic only within one file system and because folder scans pass dot files over.

    Raises:
        OSError: nothing was changed (full disk, no permission); the temporary file is removed.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of an earlier one, of which nothing is removed before.

    Two folders cannot be exchanged in one step. A kill between the two renames leaves the earlier one, whole,
    under a name that ends in ``.partial``, where `restore_folder` finds it.
    """
    old = _set_aside(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
    new.replace(folder)
    fsync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_files(folder: Path) -> None:
    """Bring the files of a folder onto the disk, so that they outlast a power cut."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def restore_folder(folder: Path) -> None:
    """Bring back the folder that a `replace_folder` which was cut off had set aside; else do nothing."""
    old = _set_aside(folder)
    if old.is_dir() and not folder.exists():
        old.replace(folder)


def _set_aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old.partial")


def fsync_folder(folder: Path) -> None:
    """Make a rename in this folder durable; file systems that cannot sync a folder are left as they are."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
