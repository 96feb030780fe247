"""Writes instances and their studies into the DICOM index, whatever is in it already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from breastlabel.catalog.dicom_instance import STUDY_LEVEL, DicomInstance, derived_uid, tags_of
from breastlabel.catalog.models import FILE_MISSING
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import dicom_studies_table as studies
from breastlabel.catalog.tables import images_table as images

__all__ = ["add_instances", "dicom_time"]

_CHUNK = 200
#: What may change of an instance that is known: everything but when it came.
_CHANGEABLE = tuple(f.name for f in fields(DicomInstance) if f.name != "received_at")


def add_instances(connection: Connection, found: Sequence[DicomInstance], *, salt: str) -> int:
    """Insert or update in the caller's transaction, which runs beside no other of its kind.

    Returns:
        How many are new.
    """
    new = 0
    known: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(found), _CHUNK):
        known |= _known(connection, found[start : start + _CHUNK])
    wanted = _unique(found, known, salt)
    by_image = {row["image_id"]: row for row in known.values() if row["image_id"] is not None}
    kept: list[DicomInstance] = []
    for instance in wanted:
        holder = known.get(instance.sop_instance_uid)
        if instance.image_id is not None and holder is not None and holder["image_id"] != instance.image_id:
            if holder["image_id"] is None or holder["excluded"] == FILE_MISSING:
                # The file has another name now.
                _delete(connection, known, instance.sop_instance_uid)
            else:
                instance = with_own_uid(instance, salt)
        elif instance.image_id is None and holder is not None and holder["image_id"] is not None:
            # An image stays one, whoever sends it again.
            continue
        before = by_image.get(instance.image_id) if instance.image_id is not None else None
        if before is not None and before["sop_instance_uid"] != instance.sop_instance_uid:
            _delete(connection, known, before["sop_instance_uid"])
        kept.append(instance)
        row = {f.name: getattr(instance, f.name) for f in fields(instance)}
        if instance.sop_instance_uid in known:
            changes = {name: row[name] for name in _CHANGEABLE}
            if instance.origin == "file":
                # Found in the folder, to which it may have come by another way.
                changes.pop("origin")
            chosen = instances.c.sop_instance_uid == instance.sop_instance_uid
            connection.execute(update(instances).where(chosen).values(changes))
        else:
            connection.execute(insert(instances).values(row))
            new += 1
        known[instance.sop_instance_uid] = {**row, "excluded": None}
        if instance.image_id is not None:
            by_image[instance.image_id] = known[instance.sop_instance_uid]
    _add_studies(connection, kept)
    return new


def with_own_uid(instance: DicomInstance, salt: str) -> DicomInstance:
    """The same image under a UID that no other has."""
    uid = derived_uid(salt, "instance", str(instance.image_id))
    (tag,) = tags_of(("SOPInstanceUID",))
    attributes = {**instance.attributes, tag: {"vr": "UI", "Value": [uid]}}
    return replace(instance, sop_instance_uid=uid, attributes=attributes)


def dicom_time(text: str) -> str:
    """A time (PS3.5 6.2) filled up to HHMMSS.FFFFFF; empty where it is none."""
    digits, _, fraction = text.strip().replace(":", "").partition(".")
    if (
        not text.isascii()
        or not digits.isdecimal()
        or len(digits) % 2
        or len(digits) > 6
        or (fraction and not fraction.isdecimal())
    ):
        return ""
    return f"{digits:0<6}.{fraction[:6]:0<6}"


def _unique(
    found: Iterable[DicomInstance], known: Mapping[str, Mapping[str, Any]], salt: str
) -> list[DicomInstance]:
    """In one order everywhere; of copies of one file among them, all but the known one get their own UID."""

    def order(instance: DicomInstance) -> tuple[str, bool, str]:
        holder = known.get(instance.sop_instance_uid)
        is_known = holder is not None and holder["image_id"] == instance.image_id
        return instance.sop_instance_uid, not is_known, instance.image_id or ""

    unique: dict[str, DicomInstance] = {}
    for instance in sorted(found, key=order):
        other = unique.get(instance.sop_instance_uid)
        if other is not None and instance.image_id is not None and other.image_id != instance.image_id:
            instance = with_own_uid(instance, salt)
        unique[instance.sop_instance_uid] = instance
    return list(unique.values())


def _known(connection: Connection, wanted: Sequence[DicomInstance]) -> dict[str, Mapping[str, Any]]:
    columns = (instances.c.sop_instance_uid, instances.c.image_id, images.c.excluded)
    uids = [instance.sop_instance_uid for instance in wanted]
    ids = [instance.image_id for instance in wanted if instance.image_id is not None]
    query = (
        select(*columns)
        .select_from(instances.outerjoin(images, images.c.image_id == instances.c.image_id))
        .where(or_(instances.c.sop_instance_uid.in_(uids), instances.c.image_id.in_(ids)))
    )
    return {row["sop_instance_uid"]: dict(row) for row in connection.execute(query).mappings()}


def _delete(connection: Connection, known: dict[str, Mapping[str, Any]], uid: str) -> None:
    connection.execute(delete(instances).where(instances.c.sop_instance_uid == uid))
    known.pop(uid, None)


def _add_studies(connection: Connection, found: Iterable[DicomInstance]) -> None:
    """Images say of their study what counts; other objects only add what no image said."""
    merged: dict[str, dict[str, Any]] = {}
    by_study: dict[str, list[DicomInstance]] = {}
    for instance in found:
        by_study.setdefault(instance.study_instance_uid, []).append(instance)
    uids = sorted(by_study)
    for start in range(0, len(uids), _CHUNK):
        columns = (studies.c.study_instance_uid, studies.c.attributes)
        query = select(*columns).where(studies.c.study_instance_uid.in_(uids[start : start + _CHUNK]))
        merged |= {row[0]: dict(row[1]) for row in connection.execute(query)}
    for uid in uids:
        before = merged.get(uid)
        attributes = dict(before or {})
        for instance in by_study[uid]:
            said = _study_attributes(instance)
            attributes = attributes | said if instance.image_id is not None else said | attributes
        row = _study_row(uid, attributes)
        if before is None:
            connection.execute(insert(studies).values(row))
        elif before != attributes:
            connection.execute(update(studies).where(studies.c.study_instance_uid == uid).values(row))


def _study_attributes(instance: DicomInstance) -> dict[str, Any]:
    wanted = set(tags_of(STUDY_LEVEL))
    return {t: e for t, e in instance.attributes.items() if t in wanted and e.get("Value")}


def _study_row(uid: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    def text(keyword: str) -> str:
        (tag,) = tags_of((keyword,))
        value = (attributes.get(tag, {}).get("Value") or [""])[0]
        return str(value.get("Alphabetic", "") if isinstance(value, dict) else value or "")

    day = text("StudyDate")
    return {
        "study_instance_uid": uid,
        "patient_id": text("PatientID"),
        "patient_name": text("PatientName").casefold(),
        "study_date": day if len(day) == 8 and day.isascii() and day.isdecimal() else "",
        "study_time": dicom_time(text("StudyTime")),
        "accession_number": text("AccessionNumber"),
        "study_description": text("StudyDescription").casefold(),
        "attributes": dict(sorted(attributes.items())),
    }
