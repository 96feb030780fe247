"""Every reading of every image: saved as a new version, never overwritten."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, literal_column, select, update

from breastlabel.catalog.database import Database
from breastlabel.catalog.images import lock_image, unknown_image
from breastlabel.catalog.label_files import LabelFiles
from breastlabel.catalog.label_version import (
    DRAFT,
    FINAL,
    REJECTED,
    STATES,
    LabelVersion,
    shown_as,
    version_columns,
)
from breastlabel.catalog.label_writer import LabelWriter, current_version, versions_of
from breastlabel.catalog.models import is_plain_name
from breastlabel.catalog.tables import labels_table
from breastlabel.errors import NotFoundError, UnknownNameError
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Labels"]

_CLASSES = tuple(c.label for c in LesionClass)


class Labels:
    """The label versions of a catalog, with their files."""

    def __init__(self, database: Database, files: LabelFiles) -> None:
        self._database = database
        self._files = files
        self._writer = LabelWriter(database, files)

    # Finding

    def current(self, image_id: str, tag: str = FINAL) -> LabelVersion | None:
        """The newest version of an image that is shown under the tag; None where there is none.

        For ``"draft"`` that is the newest draft; for any other tag the newest accepted version.
        """
        with self._database.read() as connection:
            return current_version(connection, image_id, tag)

    def current_many(self, tag: str = FINAL) -> dict[str, LabelVersion]:
        """`current` of all images that have one, in one query; image id -> version."""
        last = (
            select(labels_table.c.image_id, func.max(labels_table.c.version).label("version"))
            .where(labels_table.c.shown_as == tag)
            .group_by(labels_table.c.image_id)
            .subquery()
        )
        query = select(*version_columns()).join(
            last,
            (labels_table.c.image_id == last.c.image_id) & (labels_table.c.version == last.c.version),
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(labels_table.c.image_id))
            return {row.image_id: LabelVersion(*row) for row in rows}

    def ids(self, tag: str = FINAL) -> list[str]:
        """Ids of the images that have a label of this tag, sorted."""
        column = labels_table.c.image_id
        query = select(column).where(labels_table.c.shown_as == tag).distinct().order_by(column)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def get(self, image_id: str, version: int) -> LabelVersion:
        """One version.

        Raises:
            NotFoundError: the image has no such version.
        """
        found = next((v for v in self.history(image_id) if v.version == version), None)
        if found is None:
            raise NotFoundError(f"image '{image_id}' has no label version {version}; list its history")
        return found

    def history(self, image_id: str) -> list[LabelVersion]:
        """All versions of an image, oldest first, the rejected ones too; empty where there are none."""
        with self._database.read() as connection:
            return versions_of(connection, image_id)

    def path(self, version: LabelVersion) -> Path:
        """Where the immutable file of a version lies."""
        return self._files.path(version)

    def without_agreement(self, limit: int) -> list[LabelVersion]:
        """Accepted versions that started from a proposal and were not compared with it yet, oldest first."""
        query = (
            select(*version_columns())
            # Literals, as in the partial index that answers this.
            .where(
                labels_table.c.agreement.is_(None),
                labels_table.c.proposal_id.is_not(None),
                labels_table.c.state == literal_column("'final'"),
            )
            .order_by(labels_table.c.label_id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [LabelVersion(*row) for row in connection.execute(query)]

    # Changing

    def save(
        self,
        image_id: str,
        data: bytes,
        *,
        suffix: str = ".nii.gz",
        tag: str = FINAL,
        state: str | None = None,
        label: str | None = None,
        author: str | None = None,
        client_id: str | None = None,
        model: str | None = None,
        model_version: str | None = None,
        seconds_spent: float | None = None,
        proposal_id: int | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> LabelVersion:
        """Keep a reading as the image's next version, and show it where its tag's labels are looked for.

        When the call returns, file and record are on the disk, whatever happens afterwards. With a final
        label the client's lease on the image ends; its session goes on.

        Args:
            data: the label map's file, checked by the caller.
            suffix: of the file's type, ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.png``.
            tag: ``"final"``, ``"draft"``, ``"original"`` for a model's proposal, or another plain word.
            state: ``"draft"``, ``"final"`` or ``"rejected"``; None: as the tag, ``"draft"`` or else final.
            label: ``"normal"``, ``"benign"`` or ``"malignant"`` as painted; None unknown.
            model_version: None: model and version of the proposal.
            seconds_spent: None: since the image was leased to the client, where it was.
            proposal_id: the version it started from; None: the newest ``"original"`` one, unless a final
                label was saved after it.
            info: what else is known of it, plain JSON values.

        Raises:
            NotFoundError: the catalog has no such image.
            InvalidLabelError: no content, or the tag is no plain word.
            UnknownNameError: a state, label or suffix that there is not.
            StudiesError: the database cannot be written.
            OSError: the file could not be written (full disk); nothing was recorded.
        """
        if state is None:
            state = DRAFT if tag == DRAFT else FINAL
        if state not in STATES:
            raise UnknownNameError("state of a label", state, STATES)
        if label is not None and label not in _CLASSES:
            raise UnknownNameError("label", label, _CLASSES)
        if not is_plain_name(image_id):
            raise unknown_image(image_id)
        sha256 = hashlib.sha256(data).hexdigest()
        place = shown_as(tag, state)
        if place is not None:
            self._writer.adopt_strays(image_id, place, but=sha256)
        values = {
            "tag": tag,
            "state": state,
            "label": label,
            "sha256": sha256,
            "author": author,
            "client_id": client_id,
            "model": model,
            "model_version": model_version,
            "seconds_spent": seconds_spent,
            "proposal_id": proposal_id,
            "info": dict(info or {}),
        }
        saved = self._writer.keep(image_id, data, suffix, values)
        if place is not None:
            self._writer.project(image_id, place, saved)
        return saved

    def set_state(
        self,
        image_id: str,
        version: int,
        state: str,
        *,
        author: str | None = None,
        client_id: str | None = None,
    ) -> LabelVersion:
        """Accept or reject a version, or call it a draft again. A draft that is accepted is a final label.

        Raises:
            NotFoundError: the image has no such version.
            UnknownNameError: no such state.
        """
        if state not in STATES:
            raise UnknownNameError("state of a label", state, STATES)
        before = self.get(image_id, version)
        tags = sorted({before.shown_as, shown_as(before.tag, state)} - {None}, key=str)
        for tag in tags:
            self._writer.adopt_strays(image_id, str(tag))
        self._writer.set_states(
            image_id, state, which=lambda v: v.version == version, author=author, client_id=client_id
        )
        for tag in tags:
            self.project(image_id, str(tag))
        return self.get(image_id, version)

    def remove(
        self, image_id: str, tag: str, *, author: str | None = None, client_id: str | None = None
    ) -> None:
        """Take back all versions of an image that are shown under the tag. Their files stay.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        self._writer.adopt_strays(image_id, tag)
        self._writer.set_states(
            image_id, REJECTED, which=lambda v: v.shown_as == tag, author=author, client_id=client_id
        )
        self.project(image_id, tag)

    def restore(
        self, image_id: str, version: int, *, author: str | None = None, client_id: str | None = None
    ) -> LabelVersion:
        """Save an earlier version's content once more, as the newest final one.

        Raises:
            NotFoundError: the image has no such version, or its file is gone.
        """
        old = self.get(image_id, version)
        if not self._files.path(old).is_file():
            raise NotFoundError(
                f"the file of version {version} of image '{image_id}' is gone; restore another version"
            )
        self._writer.adopt_strays(image_id, FINAL)
        values = {
            "tag": FINAL,
            "state": FINAL,
            "label": old.label,
            "sha256": old.sha256,
            "author": author,
            "client_id": client_id,
            "model": old.model,
            "model_version": old.model_version,
            "seconds_spent": None,
            "proposal_id": None,
            "info": {**old.info, "restored_from": version},
        }
        restored = self._writer.record(image_id, old.file, values, action="label.restore")
        self._writer.project(image_id, FINAL, restored)
        return restored

    def adopt(self, image_id: str, file: Path, tag: str = FINAL) -> LabelVersion | None:
        """Take in a label map that somebody put into the folder, as a version without author.

        Returns:
            The new version; None where a version of this content is known, and nothing was done.

        Raises:
            NotFoundError: the catalog has no such image, or the file is gone.
        """
        adopted = self._writer.adopt(image_id, file, tag)
        if adopted is not None and adopted.shown_as is not None:
            self._writer.project(image_id, adopted.shown_as, adopted)
        return adopted

    def project(self, image_id: str, tag: str = FINAL) -> bool:
        """Let ``labels/<tag>`` show the version that counts, or nothing where none does.

        Returns:
            False where the folder could not be written.
        """
        return self._writer.project(image_id, tag, self.current(image_id, tag))

    def set_agreement(self, label_id: int, agreement: Mapping[str, Any]) -> None:
        """Note how far a version and the proposal it started from agree, plain JSON values.

        Raises:
            NotFoundError: there is no such version.
        """
        statement = update(labels_table).where(labels_table.c.label_id == label_id)
        with self._database.write() as connection:
            if connection.execute(statement, {"agreement": dict(agreement)}).rowcount == 0:
                raise NotFoundError(f"a label version is required; there is none with id {label_id}")

    def update_info(self, image_id: str, tag: str, info: Mapping[str, Any]) -> None:
        """Add to what is noted of the version that is shown under the tag.

        Raises:
            NotFoundError: the image has no label of this tag.
        """
        with self._database.write() as connection:
            lock_image(connection, image_id)
            version = current_version(connection, image_id, tag)
            if version is None:
                raise NotFoundError(f"image '{image_id}' has no label '{tag}'; save one first")
            connection.execute(
                update(labels_table).where(labels_table.c.label_id == version.label_id),
                {"info": {**version.info, **info}},
            )
