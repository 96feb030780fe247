"""An image of a studies folder, with what the catalog knows of it beside its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from breastlabel.catalog import ImageRecord
from breastlabel.catalog.patients import acquired_on
from breastlabel.imaging import BreastImage, Density, read_image

__all__ = ["completed", "read_record"]


def read_record(studies: str | Path, record: ImageRecord) -> BreastImage:
    """Read the image of a record, `completed` by it.

    Raises:
        NotFoundError: its file is gone.
        InvalidImageError: as `read_image`.
    """
    return completed(read_image(Path(studies) / record.file, modality=record.modality), record)


def completed(image: BreastImage, record: ImageRecord) -> BreastImage:
    """An image with what its record knows beside its file.

    A PNG knows neither side nor spacing, but the table of its dataset may have. What the file says counts
    first, except for the side where table and header contradicted each other: it stays unknown.
    """
    known = record.metadata
    contradicted = bool(known.get("side_contradicted"))
    density = next((d for d in Density if d == known.get("density")), None)
    told: dict[str, Any] = {
        "laterality": None if contradicted else image.laterality or record.laterality,
        "view_position": image.view_position or record.view_position,
        "spacing": image.spacing or record.spacing,
        "acquisition_date": image.acquisition_date or acquired_on(record),
        "age": _first(image.age, known.get("age")),
        "density": image.density or density,
        "implant": _first(image.implant, known.get("implant")),
        "manufacturer": image.manufacturer or known.get("manufacturer"),
        "machine_id": image.machine_id or known.get("machine"),
        "metadata": {**known, **image.metadata},
    }
    # Making an image checks all its pixels, so it is not done for nothing.
    if all(getattr(image, name) == value for name, value in told.items() if name != "metadata") and (
        not known.get("not_analysable") or "not_analysable" in image.metadata
    ):
        return image
    return replace(image, **told)


def _first(stated: Any, known: Any) -> Any:
    return known if stated is None else stated
