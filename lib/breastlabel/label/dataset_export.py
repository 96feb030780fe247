"""Labelled images as MONAI Label's clients take them along: a list of paths, or a ZIP file."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from breastlabel.catalog import Catalog
from breastlabel.imaging import image_stem
from breastlabel.label.described import label_info, label_name

__all__ = ["dataset_archive", "training_list"]


def training_list(catalog: Catalog, base: Path) -> list[dict[str, str]]:
    """``image`` and ``label``: the paths of every image with a final label that is not excluded.

    Args:
        base: what the paths begin with; `Path()` makes them relative to the studies folder.
    """
    # Labels before images: one that is added and labelled meanwhile is left out, instead of half known.
    labels = catalog.labels.current_many()
    return [
        {"image": str(base / record.file), "label": str(base / labels[record.image_id].file)}
        for record in catalog.images(include_excluded=False)
        if record.image_id in labels
    ]


def dataset_archive(catalog: Catalog, *, name: str, limit: int | None = None) -> Path:
    """Labelled images, their labels and what is known of them, as a temporary ZIP file.

    Images whose files are gone are left out.

    Args:
        name: of the data set, for people.
        limit: at most so many images, the first by id; None or 0: all.

    Returns:
        Its path; the caller removes it.
    """
    labels = catalog.labels.current_many()
    known: dict[str, Any] = {}
    with tempfile.NamedTemporaryFile(prefix="breastlabel-", suffix=".zip", delete=False) as file:
        path = Path(file.name)
    try:
        # Images and labels are compressed already.
        with zipfile.ZipFile(path, "w") as archive:
            for image_id in sorted(labels):
                if limit and len(known) == limit:
                    break
                label, image = labels[image_id], catalog.path(catalog.image(image_id))
                content = catalog.labels.path(label)
                if not (image.is_file() and content.is_file()):
                    continue
                archive.write(image, f"image/{image_id}{image.name[len(image_stem(image)) :]}")
                archive.write(content, f"label/{label_name(label)}")
                known[image_id] = label_info(label)
            archive.writestr("metadata.json", json.dumps({"name": name, "labels": known}, default=str))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path
