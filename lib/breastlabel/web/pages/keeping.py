"""An upload becomes an image of the studies folder, because somebody said so."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import Catalog
from breastlabel.catalog.intake import hashed_split
from breastlabel.evaluation.case_report import CaseForm
from breastlabel.imaging import Modality
from breastlabel.imaging.dicom import opaque_key
from breastlabel.label.caller import caller

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["keep_upload"]


def keep_upload(app: BreastLabelApp, file: Path, form: CaseForm, modality: Modality) -> str:
    """Copy it into the studies folder and answer its id there.

    Its name says side and view and nothing else: neither the upload's name nor the code that was typed. Where
    no header names the patient, the code does, as an opaque key, so that one patient's images share a split.

    Raises:
        ConflictError: an image of this id exists; it is drawn at random.
        OSError: the folder cannot be written.
    """
    image = app.images.read(file, modality)
    filled, _ = form.filled(image)
    shown = [part.value for part in (filled.side, filled.view) if part is not None]
    image_id = "-".join(["upload", *shown, secrets.token_hex(4)])
    app.datastore().add_image(image_id, str(file), {})
    catalog = app.catalog
    record = catalog.image(image_id)
    known = {
        "age": filled.age,
        "density": None if filled.density is None else filled.density.value,
    }
    changes: dict[str, Any] = {
        "modality": modality,
        "laterality": filled.side,
        "view_position": filled.view,
        "metadata": {**record.metadata, **{k: v for k, v in known.items() if v is not None}},
    }
    if form.code and record.patient_key == f"folder:{image_id}":
        changes |= _patient(catalog, form.code)
    catalog.update_image(image_id, **changes)
    catalog.audit.append("image.upload", author=caller().user, image_id=image_id)
    return image_id


def _patient(catalog: Catalog, code: str) -> dict[str, Any]:
    """The key that a code stands for, and the group and split of the images that have it already."""
    key = f"code:{opaque_key(code.strip(), salt=catalog.salt())}"
    others = catalog.images_of_patient(key)
    group = min((other.group for other in others), default=key)
    split = next((other.split for other in others if other.split is not None), hashed_split(group))
    return {"patient_key": key, "group": group, "split": split}
