"""The catalog of a studies folder: which images there are and what is known of each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import insert, select

from breastlabel.catalog.audit import Audit, record_act
from breastlabel.catalog.counts import Counts, read_counts
from breastlabel.catalog.database import Database, database_url
from breastlabel.catalog.dicom_index import DicomIndex
from breastlabel.catalog.folder import CATALOG_FILE, sync_folder
from breastlabel.catalog.images import Images
from breastlabel.catalog.label_files import LabelFiles
from breastlabel.catalog.labels import Labels
from breastlabel.catalog.leases import Leases
from breastlabel.catalog.models import ImageRecord
from breastlabel.catalog.patients import Exam, Patient
from breastlabel.catalog.questions import Questions
from breastlabel.catalog.scores import Scores
from breastlabel.catalog.sessions import Sessions
from breastlabel.catalog.studies_id import check_studies_id, remember_once
from breastlabel.catalog.tables import exams_table, patients_table, state_table
from breastlabel.errors import StudiesError

__all__ = ["Catalog"]

_SALT = "salt"


class Catalog:
    """Images and what is known of them. Safe to share between threads and processes, and across a fork.

    Every write is one transaction and is on the disk (synced) when the call returns.

    Attributes:
        studies: the folder that records' ``file`` is relative to; None where it is not known.
        labels: every reading of every image.
        scores: what the acquisition methods say of the images.
        leases: who has which image in front of them.
        sessions: sittings of the annotators.
        questions: segmentations that viewers stored, and what is asked about them.
        audit: who did what when.
        dicom: the DICOM instances that the images and what belongs to them are.
        database: the connections that all of them share.
    """

    def __init__(self, url: str, *, studies: Path | None = None) -> None:
        """Connect to the database at a SQLAlchemy URL, creating or upgrading its tables.

        Args:
            url: for example ``sqlite:////data/studies/.breastlabel/catalog.sqlite3`` or
                ``postgresql://user:password@host/name``.
            studies: the folder that records' ``file`` is relative to.

        Raises:
            StudiesError: the database cannot be opened, or is no catalog of this version.
            MissingDependencyError: PostgreSQL is asked for without its driver.
        """
        self.studies = studies
        self.database = Database(url)
        self._images = Images(self.database)
        self.labels = Labels(self.database, LabelFiles(studies))
        self.scores = Scores(self.database)
        self.leases = Leases(self.database)
        self.sessions = Sessions(self.database)
        self.questions = Questions(self.database, LabelFiles(studies), studies)
        self.audit = Audit(self.database)
        self.dicom = DicomIndex(self)

    @classmethod
    def open(cls, studies: str | Path, *, create: bool = False) -> Self:
        """The catalog of a folder of images; images not yet known to it are added (`sync_folder`).

        It lies in the folder, or in the PostgreSQL database that ``BREASTLABEL_DATABASE_URL`` names.

        Args:
            create: make the folder if it does not exist.

        Raises:
            StudiesError: there is no such folder, its catalog cannot be opened, or the database is that of
                another folder.
            MissingDependencyError: PostgreSQL is asked for without its driver.
        """
        folder = Path(studies).absolute()
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise StudiesError(
                f"a folder of images is required; there is none at '{studies}'; check --studies"
            )
        file = folder / CATALOG_FILE
        try:
            file.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StudiesError(
                f"a writable studies folder is required; got: {error.strerror}; check its permissions"
            ) from error
        catalog = cls(database_url(file), studies=folder)
        try:
            check_studies_id(folder, catalog.database)
            sync_folder(folder, catalog=catalog)
        except BaseException:
            catalog.close()
            raise
        return catalog

    # Images

    def __len__(self) -> int:
        return self._images.count()

    def add_images(self, records: Iterable[ImageRecord]) -> int:
        """Add images in one transaction; those whose id is known stay as they are.

        So an import can be repeated, and neither a split nor a reader's correction is ever undone by it.

        Returns:
            How many were new.
        """
        return self._images.add(records)

    def images(self, *, split: str | None = None, include_excluded: bool = True) -> list[ImageRecord]:
        """All images, or those of one split, sorted by id.

        Raises:
            UnknownNameError: `split` is none of train, val, test.
        """
        return self._images.all(split=split, include_excluded=include_excluded)

    def image(self, image_id: str) -> ImageRecord:
        """One image.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        return self._images.one(image_id)

    def has_image(self, image_id: str) -> bool:
        """Whether the catalog knows the image."""
        return self._images.has(image_id)

    def update_image(self, image_id: str, /, **changes: Any) -> ImageRecord:
        """Change fields of one image, for example ``reviewed=True, label="benign"``.

        Returns:
            The record as it now is.

        Raises:
            NotFoundError: the catalog has no such image.
            UnknownNameError: a field that records do not have, or ``image_id``.
        """
        return self.update_images({image_id: changes})[0]

    def update_images(self, changes: Mapping[str, Mapping[str, Any]]) -> list[ImageRecord]:
        """`update_image` for many images, all or none, in one transaction."""
        with self.database.write() as connection:
            return self._images.update(connection, changes)

    def exclude(
        self, image_id: str, reason: str, *, author: str | None = None, client_id: str | None = None
    ) -> ImageRecord:
        """Keep an image out of training and evaluation, and offer it to nobody; noted in the audit.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        with self.database.write() as connection:
            record = self._images.update(connection, {image_id: {"excluded": reason}})[0]
            record_act(
                connection,
                "image.exclude",
                author=author,
                client_id=client_id,
                image_id=image_id,
                details={"reason": reason},
            )
        return record

    def image_info(self, image_id: str) -> dict[str, Any]:
        """What clients noted on an image.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        return self._images.info(image_id)

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Note something on an image, plain JSON values; other notes stay.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        self._images.update_info(image_id, info)

    def counts(self) -> Counts:
        """How many images there are, wait and are labelled; takes as long for many images as for few."""
        with self.database.read() as connection:
            return read_counts(connection)

    def path(self, record: ImageRecord) -> Path:
        """Where the image's file lies.

        Raises:
            StudiesError: the catalog was opened by URL without a studies folder.
        """
        if self.studies is None:
            raise StudiesError("a studies folder is required to find files; got none; give `studies`")
        return self.studies / record.file

    # Patients

    def patients(self) -> list[Patient]:
        """All patients, sorted by key."""
        with self.database.read() as connection:
            rows = connection.execute(select(patients_table).order_by(patients_table.c.patient_key))
            return [Patient(**row) for row in rows.mappings()]

    def images_of_patient(self, patient_key: str) -> list[ImageRecord]:
        """A patient's images, the excluded ones too, sorted by id; empty where there is no such patient.

        It takes as long in a large catalog as in a small one.
        """
        return self._images.of_patient(patient_key)

    def exams(self, patient_key: str) -> list[Exam]:
        """A patient's exams, oldest first, those without a date before all others."""
        table = exams_table.c
        query = select(exams_table).where(table.patient_key == patient_key)
        with self.database.read() as connection:
            exams = [Exam(**row) for row in connection.execute(query).mappings()]
        return sorted(exams, key=lambda e: (str(e.acquisition_date or ""), e.exam_key))

    # The catalog itself

    def state(self, name: str) -> str | None:
        """A remembered fact about the catalog itself, such as when its folder was last listed."""
        with self.database.read() as connection:
            return connection.scalar(select(state_table.c.value).where(state_table.c.name == name))

    def set_state(self, name: str, value: str) -> None:
        """Remember a fact about the catalog itself."""
        with self.database.write() as connection:
            self.database.serialize(connection, f"state {name}")
            connection.execute(state_table.delete().where(state_table.c.name == name))
            connection.execute(insert(state_table).values(name=name, value=value))

    def salt(self) -> str:
        """The secret with which patients' identifiers become keys here (`opaque_key`); made when first asked.

        It never changes, so that an image added later joins its patient.
        """
        return self.state(_SALT) or remember_once(self.database, _SALT, secrets.token_hex(16))

    def close(self) -> None:
        """Close all connections. The catalog opens new ones if it is used again."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
