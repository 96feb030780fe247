"""Which DICOM instances there are: every image of the catalog is one, and segmentations and reports are.

Viewers know images by the UIDs of DICOM, the catalog by ids. A DICOM file has UIDs of its own; any other
image gets some that are always the same (`derived_uid`) and is converted when a viewer asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, select

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.catalog.dicom_looking import Looking, is_there
from breastlabel.catalog.dicom_rows import add_instances
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import images_table as images

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["INDEXED", "DicomIndex", "instance_columns", "instance_from_row"]

_FIELDS = tuple(f.name for f in fields(DicomInstance))
_CHUNK = 100

#: The instances, each beside the image that it is.
INDEXED: FromClause = instances.outerjoin(images, images.c.image_id == instances.c.image_id)


class DicomIndex:
    """The DICOM instances of a catalog. Threads and processes may share one.

    Attributes:
        catalog: whose images these are.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._looking = Looking(catalog, self.add)

    # Looking

    def instance(self, sop_instance_uid: str) -> DicomInstance | None:
        """One instance; None where there is none, or its image's file is gone."""
        found = self._read(instances.c.sop_instance_uid == sop_instance_uid)
        return found[0] if found else None

    def of_image(self, image_id: str) -> DicomInstance | None:
        """An image's own instance; None where its file cannot be read, or is gone.

        An image that the index has not come to yet is looked at now.
        """
        return self.of_images([image_id]).get(image_id)

    def of_images(self, image_ids: Iterable[str]) -> dict[str, DicomInstance]:
        """`of_image` for many: image id -> instance, for those that have one."""
        wanted = list(dict.fromkeys(image_ids))
        found = self._of_known(wanted)
        if (new := [image_id for image_id in wanted if image_id not in found]) and self.look_at(new):
            found |= self._of_known(new)
        return found

    def find(
        self,
        *,
        study: str | None = None,
        series: str | None = None,
        modality: str | None = None,
        sop_class: str | None = None,
        origin: str | None = None,
    ) -> list[DicomInstance]:
        """All instances to which everything given applies, sorted by study, series and instance UID."""
        wanted = {
            "study_instance_uid": study,
            "series_instance_uid": series,
            "modality": modality,
            "sop_class_uid": sop_class,
            "origin": origin,
        }
        given = [instances.c[name] == value for name, value in wanted.items() if value is not None]
        return self._read(*given)

    def _of_known(self, image_ids: Sequence[str]) -> dict[str, DicomInstance]:
        found: dict[str, DicomInstance] = {}
        for start in range(0, len(image_ids), _CHUNK):
            some = self._read(instances.c.image_id.in_(image_ids[start : start + _CHUNK]))
            found |= {instance.image_id: instance for instance in some if instance.image_id is not None}
        return found

    def _read(self, *which: ColumnElement[bool]) -> list[DicomInstance]:
        query = (
            instance_columns()
            .where(and_(is_there(), *which))
            .order_by(
                instances.c.study_instance_uid, instances.c.series_instance_uid, instances.c.sop_instance_uid
            )
        )
        with self.catalog.database.read() as connection:
            return [instance_from_row(row) for row in connection.execute(query)]

    # Changing

    def add(self, found: Iterable[DicomInstance]) -> int:
        """Make instances known, in one transaction; how many were new. It may be repeated.

        A known instance takes over what is said of it now, but for when it was received. Where another image
        already has the UID (a copied file), an image gets a UID of its own.
        """
        new = list(found)
        if not new:
            return 0
        salt = self.catalog.salt()
        with self.catalog.database.write() as connection:
            self.catalog.database.serialize(connection, "dicom index")
            return add_instances(connection, new, salt=salt)

    def look_at(self, image_ids: Iterable[str], *, stopped: Callable[[], bool] = lambda: False) -> int:
        """Read the headers of images and make them known; of how many there is an instance now.

        Images whose file is gone, or cannot be read, are passed over.
        """
        return self._looking.look_at(image_ids, stopped=stopped)

    def look_again(self, image_ids: Iterable[str]) -> int:
        """`look_at` for those of these images that changed since, or that are new."""
        return self._looking.look_again(image_ids)

    def catch_up(self, *, stopped: Callable[[], bool] = lambda: False, changed: bool = False) -> int:
        """Look at all images that the index does not know; of how many there is an instance now.

        Args:
            stopped: asked again and again; once it is true, what was found until then is kept.
            changed: look at those that changed since, too.
        """
        return self._looking.catch_up(stopped=stopped, changed=changed)

    def remove(self, sop_instance_uids: Iterable[str]) -> None:
        """Forget instances; their files stay."""
        gone = sorted(set(sop_instance_uids))
        with self.catalog.database.write() as connection:
            for start in range(0, len(gone), _CHUNK):
                chosen = instances.c.sop_instance_uid.in_(gone[start : start + _CHUNK])
                connection.execute(instances.delete().where(chosen))


def instance_columns() -> Select[Any]:
    """What a `DicomInstance` is made of, in the order of its fields."""
    return select(*(instances.c[name] for name in _FIELDS)).select_from(INDEXED)


def instance_from_row(row: Sequence[Any]) -> DicomInstance:
    """The values of `instance_columns` as an instance."""
    return DicomInstance(**dict(zip(_FIELDS, row, strict=True)))
