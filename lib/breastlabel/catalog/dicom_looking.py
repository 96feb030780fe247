"""Reads the headers of images for the DICOM index: of new ones, and of those whose files changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, or_, select, true

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.catalog.models import FILE_MISSING, ImageRecord, record_columns, record_from_row
from breastlabel.catalog.tables import dicom_instances_table as instances
from breastlabel.catalog.tables import images_table as images
from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.imaging.files import DICOM_SUFFIXES
from breastlabel.imaging.stamps import stamp_of

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["Looking", "is_there"]

_CHUNK = 100


def is_there(table: FromClause = images) -> ColumnElement[bool]:
    """The images whose files are there; in an outer join, what is no image too."""
    return or_(table.c.excluded.is_(None), table.c.excluded != FILE_MISSING)


class Looking:
    """Looks at images. `DicomIndex` hands its methods on.

    Args:
        add: makes instances known.
    """

    def __init__(self, catalog: Catalog, add: Callable[[Iterable[DicomInstance]], int]) -> None:
        self._catalog = catalog
        self._add = add
        self._unreadable: set[tuple[str, str]] = set()

    def look_at(self, image_ids: Iterable[str], *, stopped: Callable[[], bool] = lambda: False) -> int:
        """Read the images' headers and make them known; how many were."""
        # Imported here: pydicom takes a tenth of a second, and most programs never look at a header.
        from breastlabel.catalog.dicom_header import described_image

        done = 0
        found: list[DicomInstance] = []
        for record, _ in self._records(image_ids):
            if stopped():
                break
            stamp = self._stamp(record)
            if stamp is None or (record.image_id, stamp) in self._unreadable:
                continue
            try:
                found.append(described_image(self._catalog, record, stamp=stamp))
            except (InvalidImageError, NotFoundError, OSError):
                # It is tried again when the file changes, or the program is started again.
                self._unreadable.add((record.image_id, stamp))
            if len(found) >= _CHUNK:
                self._add(found)
                done, found = done + len(found), []
        self._add(found)
        return done + len(found)

    def look_again(self, image_ids: Iterable[str]) -> int:
        """Look at those of the images whose files changed since; how many there are."""
        return self.look_at(self._changed(image_ids))

    def catch_up(self, *, stopped: Callable[[], bool], changed: bool) -> int:
        """Look at all images that are not known, and with ``changed`` at those whose files changed too."""
        done, last = 0, ""
        which = true() if changed else instances.c.sop_instance_uid.is_(None)
        while not stopped() and (ids := self._after(last, which)):
            last = ids[-1]
            done += self.look_at(self._changed(ids), stopped=stopped)
        return done

    def _after(self, last: str, which: ColumnElement[bool]) -> Sequence[str]:
        query = (
            select(images.c.image_id)
            .select_from(images.outerjoin(instances, images.c.image_id == instances.c.image_id))
            .where(images.c.image_id > last, is_there(), which)
            .order_by(images.c.image_id)
            .limit(_CHUNK)
        )
        with self._catalog.database.read() as connection:
            return connection.scalars(query).all()

    def _changed(self, image_ids: Iterable[str]) -> list[str]:
        return [
            r.image_id for r, known in self._records(image_ids) if known is None or self._stamp(r) != known
        ]

    def _records(self, image_ids: Iterable[str]) -> Iterator[tuple[ImageRecord, str | None]]:
        """The images whose files are there, each with the stamp that the index knows."""
        wanted = list(dict.fromkeys(image_ids))
        columns: list[Any] = [*record_columns(), instances.c.stamp]
        joined = images.outerjoin(instances, images.c.image_id == instances.c.image_id)
        for start in range(0, len(wanted), _CHUNK):
            chosen = images.c.image_id.in_(wanted[start : start + _CHUNK])
            query = select(*columns).select_from(joined).where(is_there(), chosen)
            with self._catalog.database.read() as connection:
                rows = connection.execute(query).all()
            yield from ((record_from_row(row[:-1]), row[-1]) for row in rows)

    def _stamp(self, record: ImageRecord) -> str | None:
        """Another one whenever another header is to be expected; None where there is no file."""
        stamp = stamp_of(self._catalog.path(record))
        if stamp is None:
            return None
        text = f"{stamp[0]}-{stamp[1]}"
        if record.file.lower().endswith(DICOM_SUFFIXES):
            return text
        # The header of a conversion says what the catalog knows.
        facts = (
            *(record.modality, record.laterality, record.view_position, record.patient_key, record.study_key),
            *(record.spacing, sorted(record.metadata.items(), key=lambda item: item[0])),
        )
        return f"{text}-{hashlib.blake2b(repr(facts).encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
