"""Images that were put into a studies folder by hand -> records, by what their files' headers say."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from breastlabel.catalog.models import ImageRecord
from breastlabel.catalog.tables import images_table
from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality
from breastlabel.imaging.dicom import HeaderFacts, header_facts
from breastlabel.imaging.files import DICOM_SUFFIXES
from breastlabel.imaging.view_names import side_and_view

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["PATIENT_ACROSS_SPLITS", "hashed_split", "new_records"]

PATIENT_ACROSS_SPLITS = "patient-across-splits"
"""Excluded because the patient's images are in several splits already."""

_CHUNK = 500

#: Patient key -> (group, split) of each of the patient's images.
_Patients = Mapping[str, list[tuple[str, str | None]]]


def hashed_split(key: str) -> str:
    """The split of a group whose neighbours are not known: 70/15/15 by a hash of its key.

    It depends on nothing but the key, so it stays as it is whatever is added later.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if position < 0.70:
        return "train"
    return "val" if position < 0.85 else "test"


def new_records(
    catalog: Catalog, folder: Path, files: Mapping[str, str], modality: Modality
) -> list[ImageRecord]:
    """Records of images that the catalog does not know yet; a segmentation among the files is no image.

    Args:
        files: image id -> file name in the folder.
        modality: what they are taken for where no header says it. Films and captures (`HeaderFacts`) are
            taken for mammograms, since no other task reads them, and so are other files whose names say side
            and view (`side_and_view`).
    """
    facts = {image_id: _facts(folder / name, catalog) for image_id, name in files.items()}
    facts = {image_id: f for image_id, f in facts.items() if f is None or not f.is_segmentation}
    patients = _patients(catalog, {f.keys.patient for f in facts.values() if f and f.keys.patient})
    return [
        _record(image_id, files[image_id], facts=f, modality=modality, patients=patients)
        for image_id, f in facts.items()
    ]


def _facts(file: Path, catalog: Catalog) -> HeaderFacts | None:
    if not file.name.lower().endswith(DICOM_SUFFIXES):
        return None
    try:
        return header_facts(file, salt=catalog.salt())
    except InvalidImageError:
        return None


def _patients(catalog: Catalog, keys: set[str]) -> _Patients:
    table = images_table.c
    query = select(table.patient_key, table.group, table.split)
    found: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    wanted = sorted(keys)
    with catalog.database.read() as connection:
        for start in range(0, len(wanted), _CHUNK):
            chunk = query.where(table.patient_key.in_(wanted[start : start + _CHUNK]))
            for patient, group, split in connection.execute(chunk):
                found[patient].append((group, split))
    return found


def _record(
    image_id: str, name: str, *, facts: HeaderFacts | None, modality: Modality, patients: _Patients
) -> ImageRecord:
    """A new image, in the group and split of its patient's other images."""
    patient = (facts.keys.patient if facts else None) or f"folder:{image_id}"
    named = side_and_view(name) if facts is None else None
    others = patients.get(patient, [])
    group = min((group for group, _ in others), default=patient)
    splits = sorted({split for _, split in others if split is not None}) or [hashed_split(group)]
    return ImageRecord(
        image_id=image_id,
        file=name,
        dataset="folder",
        modality=Modality.MG if named else _modality(facts, modality),
        patient_key=patient,
        study_key=facts.keys.study if facts else None,
        laterality=facts.laterality if facts else named[0] if named else None,
        view_position=facts.view_position if facts else named[1] if named else None,
        group=group,
        split=splits[0] if len(splits) == 1 else None,
        excluded=PATIENT_ACROSS_SPLITS if len(splits) > 1 else None,
        metadata=_metadata(facts) if facts else {},
    )


def _modality(facts: HeaderFacts | None, otherwise: Modality) -> Modality:
    if facts is None:
        return otherwise
    return facts.keys.modality or (Modality.MG if facts.is_film else otherwise)


def _metadata(facts: HeaderFacts) -> dict[str, Any]:
    known = {
        "acquired": facts.acquired.isoformat() if facts.acquired else None,
        "age": facts.age,
        "density": facts.density.value if facts.density else None,
        "implant": facts.implant,
        "manufacturer": facts.manufacturer,
        "machine": facts.machine,
    }
    return {name: value for name, value in known.items() if value is not None} | facts.metadata()
