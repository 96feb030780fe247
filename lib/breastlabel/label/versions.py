"""Earlier readings of an image: a saved label never destroys the one before it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["LabelVersions"]


class LabelVersions:
    """Keeps copies of label files in ``FOLDER/<image id>/``, named by the time they were replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, image_id: str, tag: str, label: Path, info: Mapping[str, Any]) -> Path:
        """Keep a label file that is about to be replaced or removed, with what is known of it.

        The file itself stays where it is, so that at no moment the image is without its label.

        Returns:
            The kept copy.
        """
        folder = self._folder / image_id
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time_ns()}-{tag}"
        suffix = ".nii.gz" if label.name.endswith(".nii.gz") else label.suffix
        kept = folder / f"{stamp}{suffix}"
        partial = folder / f".{stamp}.part"
        shutil.copy2(label, partial)
        os.replace(partial, kept)
        write_bytes_atomically(folder / f"{stamp}.json", json.dumps(dict(info), default=str).encode())
        return kept

    def history(self, image_id: str) -> list[Path]:
        """Kept label files of an image, oldest first."""
        folder = self._folder / image_id
        if not folder.is_dir():
            return []
        return sorted(p for p in folder.iterdir() if p.suffix != ".json" and not p.name.startswith("."))
