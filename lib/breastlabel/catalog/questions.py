"""The segmentations that viewers stored: which of them became labels, and what is asked about the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.database import Database
from breastlabel.catalog.kept_segmentation import KeptSegmentation, Status, kept_from_row
from breastlabel.catalog.label_batch import LabelBatch, Reading
from breastlabel.catalog.label_files import LabelFiles
from breastlabel.catalog.label_version import LabelVersion
from breastlabel.catalog.question_files import QuestionFiles
from breastlabel.catalog.question_tables import (
    question_images_table,
    segment_meanings_table,
    segmentations_table,
)
from breastlabel.errors import NotFoundError

__all__ = ["Questions"]

_CHUNK = 500


class Questions:
    """The segmentations of a catalog."""

    def __init__(self, database: Database, labels: LabelFiles, studies: Path | None) -> None:
        self._database = database
        self._batch = LabelBatch(database, labels)
        self.files = QuestionFiles(studies)

    # Finding

    def find(self, sop_instance_uid: str) -> KeptSegmentation | None:
        """The segmentation of that name; None where none was taken."""
        query = select(segmentations_table).where(_row.sop_instance_uid == sop_instance_uid)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else kept_from_row(row)

    def get(self, question_id: int) -> KeptSegmentation:
        """The segmentation of a question, answered or not.

        Raises:
            NotFoundError: there is none of that id.
        """
        found = None
        if 0 < question_id < 2**31:
            with self._database.read() as connection:
                found = (
                    connection.execute(select(segmentations_table).where(_row.segmentation_id == question_id))
                    .mappings()
                    .first()
                )
        if found is None or (found["answer"] is None and found["status"] != Status.QUESTION):
            raise NotFoundError("a question's id is required; there is none of this one; list the questions")
        return kept_from_row(found)

    def open(self, *, limit: int = 100, offset: int = 0) -> list[KeptSegmentation]:
        """The questions that nobody has answered yet, oldest first."""
        query = (
            select(segmentations_table)
            .where(_row.status == Status.QUESTION)
            .order_by(_row.segmentation_id)
            .limit(limit)
            .offset(offset)
        )
        with self._database.read() as connection:
            return [kept_from_row(row) for row in connection.execute(query).mappings()]

    def count(self) -> int:
        """How many questions are open."""
        query = select(func.count()).select_from(segmentations_table).where(_row.status == Status.QUESTION)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def images(self, question_id: int) -> list[str]:
        """Ids of the images that an open question is about, sorted."""
        column = question_images_table.c.image_id
        query = select(column).where(question_images_table.c.segmentation_id == question_id).order_by(column)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def open_of(self, image_ids: Iterable[str]) -> dict[str, list[int]]:
        """Image id -> ids of the open questions about it, for those of the images that have one."""
        table, wanted = question_images_table.c, list(image_ids)
        found: dict[str, list[int]] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), _CHUNK):
                query = (
                    select(table.image_id, table.segmentation_id)
                    .where(table.image_id.in_(wanted[start : start + _CHUNK]))
                    .order_by(table.image_id, table.segmentation_id)
                )
                for image_id, question_id in connection.execute(query):
                    found.setdefault(image_id, []).append(question_id)
        return found

    def meanings(self) -> dict[str, str]:
        """What the site said for good: a segment's name as `segment_names.name_key` has it -> meaning."""
        query = select(segment_meanings_table.c.name, segment_meanings_table.c.meaning)
        with self._database.read() as connection:
            return {str(row.name): str(row.meaning) for row in connection.execute(query)}

    # Changing

    def save(
        self,
        sop_instance_uid: str,
        readings: Sequence[Reading],
        *,
        author: str | None,
        client_id: str | None,
        info: Mapping[str, Any],
    ) -> tuple[KeptSegmentation, list[LabelVersion]]:
        """Make labels of a segmentation, once however often and by however many it is asked for.

        Returns:
            What the catalog knows of it, and the versions; of an earlier time, none.

        Raises:
            NotFoundError, StudiesError, OSError: as `LabelBatch.save`; nothing was recorded.
        """

        def first(connection: Connection) -> bool:
            return self._is_new(connection, sop_instance_uid)

        def last(connection: Connection, versions: list[LabelVersion]) -> None:
            values = _values(sop_instance_uid, Status.SAVED, author=author, client_id=client_id, info=info)
            connection.execute(insert(segmentations_table).values(**values, labels=_named(versions)))

        saved = self._batch.save(readings, author=author, client_id=client_id, first=first, last=last)
        return self._found(sop_instance_uid), saved or []

    def ask(
        self,
        sop_instance_uid: str,
        data: bytes,
        *,
        segments: Sequence[Mapping[str, Any]],
        image_ids: Iterable[str],
        author: str | None,
        client_id: str | None,
        info: Mapping[str, Any],
    ) -> KeptSegmentation:
        """Keep a segmentation's file and ask about it, once however often it comes.

        Raises:
            StudiesError: the database cannot be written.
            OSError: the file could not be written (full disk); nothing was recorded.
        """
        file = self.files.store(data)
        with self._database.write() as connection:
            new = self._is_new(connection, sop_instance_uid)
            if new:
                values = _values(
                    sop_instance_uid, Status.QUESTION, author=author, client_id=client_id, info=info
                )
                statement = insert(segmentations_table).returning(_row.segmentation_id)
                values |= {"labels": [], "file": file, "segments": [dict(s) for s in segments]}
                asked = connection.execute(statement.values(**values)).scalar_one()
                connection.execute(
                    insert(question_images_table),
                    [{"image_id": i, "segmentation_id": asked} for i in sorted(set(image_ids))],
                )
                record_act(
                    connection,
                    "question.ask",
                    author=author,
                    client_id=client_id,
                    details={"question": asked},
                )
        if not new:
            self.files.discard(file)
        return self._found(sop_instance_uid)

    def answer(
        self,
        question: KeptSegmentation,
        readings: Sequence[Reading],
        meanings: Mapping[str, str],
        *,
        answered_by: str | None,
        client_id: str | None,
        remember: Mapping[str, str],
    ) -> tuple[KeptSegmentation, list[LabelVersion]]:
        """Close a question with what it was answered, and make the labels that follow.

        Args:
            readings: none where nothing that is painted is a lesion.
            meanings: name -> meaning, as answered.
            answered_by: who; the labels' author stays who drew them.
            remember: what counts from now on for segments of a name, as `segment_names.name_key` has it.

        Returns:
            As `save`; no versions where somebody else had answered before.
        """

        def first(connection: Connection) -> bool:
            self._database.serialize(connection, f"segmentation {question.sop_instance_uid}")
            query = select(_row.status).where(_row.segmentation_id == question.segmentation_id)
            return connection.scalar(query) == Status.QUESTION

        def last(connection: Connection, versions: list[LabelVersion]) -> None:
            now = datetime.now(UTC)
            connection.execute(
                update(segmentations_table)
                .where(_row.segmentation_id == question.segmentation_id)
                .values(
                    status=Status.SAVED if versions else Status.IGNORED,
                    labels=_named(versions),
                    answer=dict(meanings),
                    answered_by=answered_by,
                    answered_at=now,
                )
            )
            images = question_images_table
            connection.execute(delete(images).where(images.c.segmentation_id == question.segmentation_id))
            self._remember(connection, remember, answered_by, now)
            record_act(
                connection,
                "question.answer",
                author=answered_by,
                client_id=client_id,
                details={"question": question.segmentation_id},
                at=now,
            )

        saved = self._batch.save(
            readings,
            author=question.author or answered_by,
            client_id=question.client_id,
            first=first,
            last=last,
        )
        return self._found(question.sop_instance_uid), saved or []

    def _is_new(self, connection: Connection, sop_instance_uid: str) -> bool:
        """Whether nobody took it yet; whoever asks next waits until this transaction ends."""
        self._database.serialize(connection, f"segmentation {sop_instance_uid}")
        query = select(_row.segmentation_id).where(_row.sop_instance_uid == sop_instance_uid)
        return connection.execute(query).first() is None

    def _found(self, sop_instance_uid: str) -> KeptSegmentation:
        found = self.find(sop_instance_uid)
        assert found is not None, "just recorded"
        return found

    def _remember(
        self, connection: Connection, meanings: Mapping[str, str], author: str | None, now: datetime
    ) -> None:
        if not meanings:
            return
        self._database.serialize(connection, "segment meanings")
        table = segment_meanings_table
        connection.execute(delete(table).where(table.c.name.in_(list(meanings))))
        connection.execute(
            insert(table),
            [
                {"name": name, "meaning": meaning, "author": author, "decided_at": now}
                for name, meaning in sorted(meanings.items())
            ],
        )


_row = segmentations_table.c


def _values(sop_instance_uid: str, status: Status, **known: Any) -> dict[str, Any]:
    values = {"sop_instance_uid": sop_instance_uid, "status": status, "segments": [], **known}
    return values | {"info": dict(known["info"]), "received_at": datetime.now(UTC)}


def _named(versions: Sequence[LabelVersion]) -> list[dict[str, Any]]:
    return [{"image_id": v.image_id, "version": v.version} for v in versions]
