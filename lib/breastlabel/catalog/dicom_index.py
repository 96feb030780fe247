"""Which DICOM instances there are: every image of the catalog is one, and segmentations and reports are.

Viewers know images by the UIDs of DICOM, the catalog by ids. A DICOM file has UIDs of its own; any other image
gets some that are always the same (`derived_uid`) and is converted when a viewer asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, or_, select, true

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.catalog.dicom_rows import add_instances
from breastlabel.catalog.models import FILE_MISSING
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import images_table as images
from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.imaging.stamps import stamp_of

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["INDEXED", "DicomIndex", "is_there"]

_FIELDS = tuple(f.name for f in fields(DicomInstance))
_CHUNK = 100

#: The instances, each beside the image that it is.
INDEXED: FromClause = instances.outerjoin(images, images.c.image_id == instances.c.image_id)


def is_there() -> ColumnElement[bool]:
    """The instances that can be had: not those of images whose file is gone."""
    return or_(images.c.excluded.is_(None), images.c.excluded != FILE_MISSING)


class DicomIndex:
    """The DICOM instances of a catalog. Threads and processes may share one.

    Attributes:
        catalog: whose images these are.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._unreadable: set[tuple[str, str | None]] = set()

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
        query = instance_columns().where(and_(is_there(), *which)).order_by(
            instances.c.study_instance_uid, instances.c.series_instance_uid, instances.c.sop_instance_uid
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
        # Imported here: pydicom takes a tenth of a second, and most programs never look at a header.
        from breastlabel.catalog.dicom_header import described_image

        done, found = 0, []
        for image_id, file in self._files(image_ids):
            if stopped():
                break
            stamp = self._stamp(file)
            if stamp is None or (image_id, stamp) in self._unreadable:
                continue
            try:
                found.append(described_image(self.catalog, self.catalog.image(image_id), stamp=stamp))
            except (InvalidImageError, NotFoundError, OSError):
                self._unreadable.add((image_id, stamp))
            if len(found) >= _CHUNK:
                self.add(found)
                done, found = done + len(found), []
        self.add(found)
        return done + len(found)

    def look_again(self, image_ids: Iterable[str]) -> int:
        """`look_at` for those of these images whose files changed since, or that are new."""
        wanted = list(image_ids)
        changed: list[str] = []
        for start in range(0, len(wanted), _CHUNK):
            changed += self._changed(images.c.image_id.in_(wanted[start : start + _CHUNK]))
        return self.look_at(changed)

    def catch_up(self, *, stopped: Callable[[], bool] = lambda: False, changed: bool = False) -> int:
        """Look at all images that the index does not know; of how many there is an instance now.

        Args:
            stopped: asked again and again; once it is true, what was found until then is kept.
            changed: look at those whose files changed since, too.
        """
        done, last = 0, ""
        while not stopped():
            unknown = true() if changed else instances.c.sop_instance_uid.is_(None)
            ids, last_seen = self._next_images(last, unknown)
            if last_seen is None:
                break
            last = last_seen
            done += self.look_at(self._changed(images.c.image_id.in_(ids)) if ids else [], stopped=stopped)
        return done

    def remove(self, sop_instance_uids: Iterable[str]) -> None:
        """Forget instances; their files stay."""
        gone = sorted(set(sop_instance_uids))
        with self.catalog.database.write() as connection:
            for start in range(0, len(gone), _CHUNK):
                chosen = instances.c.sop_instance_uid.in_(gone[start : start + _CHUNK])
                connection.execute(instances.delete().where(chosen))

    def _next_images(self, after: str, which: ColumnElement[bool]) -> tuple[list[str], str | None]:
        query = (
            select(images.c.image_id)
            .select_from(images.outerjoin(instances, images.c.image_id == instances.c.image_id))
            .where(images.c.image_id > after, is_there(), which)
            .order_by(images.c.image_id)
            .limit(_CHUNK)
        )
        with self.catalog.database.read() as connection:
            ids = list(connection.scalars(query))
        return ids, ids[-1] if ids else None

    def _changed(self, which: ColumnElement[bool]) -> list[str]:
        """Those of some images whose stamp is not the one that the index knows."""
        query = (
            select(images.c.image_id, images.c.file, instances.c.stamp)
            .select_from(images.outerjoin(instances, images.c.image_id == instances.c.image_id))
            .where(is_there(), which)
        )
        with self.catalog.database.read() as connection:
            rows = connection.execute(query).all()
        return [image_id for image_id, file, known in rows if known is None or self._stamp(file) != known]

    def _files(self, image_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        wanted = list(dict.fromkeys(image_ids))
        for start in range(0, len(wanted), _CHUNK):
            chosen = images.c.image_id.in_(wanted[start : start + _CHUNK])
            query = select(images.c.image_id, images.c.file).where(is_there(), chosen)
            with self.catalog.database.read() as connection:
                rows = connection.execute(query).all()
            yield from ((row.image_id, row.file) for row in rows)

    def _stamp(self, file: str) -> str | None:
        assert self.catalog.studies is not None
        stamp = stamp_of(self.catalog.studies / file)
        return None if stamp is None else f"{stamp[0]}-{stamp[1]}"


def instance_columns() -> Select[Any]:
    """What a `DicomInstance` is made of, in the order of its fields."""
    return select(*(instances.c[name] for name in _FIELDS)).select_from(INDEXED)


def instance_from_row(row: Sequence[Any]) -> DicomInstance:
    """The values of `instance_columns` as an instance."""
    return DicomInstance(**dict(zip(_FIELDS, row, strict=True)))
