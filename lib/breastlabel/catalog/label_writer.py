"""How a label version comes to be: file, then record, then projection; each whole before the next begins."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.database import Database
from breastlabel.catalog.images import lock_image
from breastlabel.catalog.label_effects import newest, settle
from breastlabel.catalog.label_files import LabelFiles, sha256_of
from breastlabel.catalog.label_version import (
    DRAFT,
    FINAL,
    ORIGINAL,
    LabelVersion,
    shown_as,
    version_columns,
)
from breastlabel.catalog.leases import seconds_leased
from breastlabel.catalog.sessions import touch_session
from breastlabel.catalog.tables import labels_table
from breastlabel.errors import NotFoundError
from breastlabel.imaging import image_stem

__all__ = ["LabelWriter", "current_version", "versions_of"]

logger = logging.getLogger(__name__)

# Writers of one image that race make each other project again; nobody races for ever.
_ROUNDS = 100


def versions_of(connection: Connection, image_id: str) -> list[LabelVersion]:
    """All versions of an image, oldest first."""
    return [LabelVersion(*row) for row in connection.execute(_ALL, {"b_image": image_id})]


def current_version(connection: Connection, image_id: str, tag: str) -> LabelVersion | None:
    """The version of an image that counts for a tag; None where none does."""
    row = connection.execute(_CURRENT, {"b_image": image_id, "b_tag": tag}).first()
    return None if row is None else LabelVersion(*row)


class LabelWriter:
    """Writes label versions and shows them. `Labels` is what others use."""

    def __init__(self, database: Database, files: LabelFiles) -> None:
        self._database = database
        self._files = files

    def keep(self, image_id: str, data: bytes, suffix: str, values: Mapping[str, Any]) -> LabelVersion:
        """Write a version's file and record it."""
        file = self._files.store(image_id, data, tag=values["tag"], suffix=suffix)
        try:
            return self.record(image_id, file, values)
        except NotFoundError:
            # The only error that is certain to come before the commit.
            self._files.discard(file)
            raise

    def record(
        self, image_id: str, file: str, values: Mapping[str, Any], *, action: str = "label.save"
    ) -> LabelVersion:
        """Record a version whose file is on the disk, with all that follows from it, in one transaction."""
        with self._database.write() as connection:
            return self._record(connection, image_id, file, values, action)

    def record_in(
        self, connection: Connection, image_id: str, file: str, values: Mapping[str, Any]
    ) -> LabelVersion:
        """`record` in the caller's transaction."""
        return self._record(connection, image_id, file, values, "label.save")

    def set_states(
        self,
        image_id: str,
        state: str,
        *,
        which: Callable[[LabelVersion], bool],
        author: str | None,
        client_id: str | None,
    ) -> None:
        """Set the state of some of an image's versions, with all that follows from it, in one transaction."""
        with self._database.write() as connection:
            image = lock_image(connection, image_id)
            before = versions_of(connection, image_id)
            after = [replace(v, state=state) if which(v) else v for v in before]
            for old, new in zip(before, after, strict=True):
                if new.state == old.state:
                    continue
                connection.execute(
                    _SET_STATE, {"b_label": new.label_id, "state": new.state, "shown_as": new.shown_as}
                )
                record_act(
                    connection,
                    "label.state",
                    author=author,
                    client_id=client_id,
                    image_id=image_id,
                    label_id=new.label_id,
                    details={"version": new.version, "from": old.state, "to": new.state},
                )
            settle(connection, image_id, image, before=before, after=after)

    def adopt_strays(self, image_id: str, tag: str, *, but: str | None = None) -> None:
        """Make versions of what somebody put where a projection is about to be, so that it is not lost.

        Args:
            but: SHA-256 of a content that is about to become a version anyway.
        """
        files = self._files.shown(image_id, tag)
        if not files:
            return
        with self._database.read() as connection:
            current = current_version(connection, image_id, tag)
        for file in files:
            if current is not None and self._files.shows(file, current):
                continue
            try:
                if but is None or sha256_of(file) != but:
                    self.adopt(image_id, file, tag)
            except FileNotFoundError:
                # Another writer has just put its projection there, or taken this one away.
                continue

    def adopt(self, image_id: str, file: Path, tag: str) -> LabelVersion | None:
        """Make a version of a file, unless a version of this content is known; then None."""
        data = file.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        with self._database.read() as connection:
            if _is_known(versions_of(connection, image_id), sha256):
                return None
        suffix = file.name[len(image_stem(file)) :]
        stored = self._files.store(image_id, data, tag=tag, suffix=suffix)
        values: dict[str, Any] = {
            "tag": tag,
            "state": DRAFT if tag == DRAFT else FINAL,
            "label": None,
            "sha256": sha256,
            "author": None,
            "client_id": None,
            "model": None,
            "model_version": None,
            "seconds_spent": None,
            "proposal_id": None,
            "info": {"source": "folder"},
        }
        try:
            with self._database.write() as connection:
                lock_image(connection, image_id)
                # Asked again with the image held: another process may have adopted it meanwhile.
                if not _is_known(versions_of(connection, image_id), sha256):
                    return self._record(connection, image_id, stored, values, "label.adopt")
        except NotFoundError:
            self._files.discard(stored)
            raise
        self._files.discard(stored)
        return None

    def project(self, image_id: str, tag: str, version: LabelVersion | None) -> bool:
        """Show a version, then look whether it still is the one that counts, until it is.

        Each of several writers looks after it has put its own there, so the last look sees the newest.
        What is recorded is not lost where this fails; a later `sync_folder` shows it.

        Returns:
            False where the folder could not be written.
        """
        try:
            for _ in range(_ROUNDS):
                if version is not None:
                    self._files.project(version, tag)
                self._remove_others(image_id, tag, version)
                with self._database.read() as connection:
                    now = current_version(connection, image_id, tag)
                if (now and now.label_id) == (version and version.label_id):
                    return True
                version = now
        except OSError as error:
            logger.warning("a saved label could not be shown in labels/%s: %s", tag, error.strerror)
        return False

    def _remove_others(self, image_id: str, tag: str, version: LabelVersion | None) -> None:
        """Remove what else lies there for the image, as far as it is the content of some version."""
        name = None if version is None else self._files.projection(version, tag).name
        others = [f for f in self._files.shown(image_id, tag) if f.name != name]
        if not others:
            return
        with self._database.read() as connection:
            versions = versions_of(connection, image_id)
        for file in others:
            if any(self._files.shows(file, v) for v in versions) or _is_known(versions, sha256_of(file)):
                file.unlink(missing_ok=True)

    def _record(
        self, connection: Connection, image_id: str, file: str, values: Mapping[str, Any], action: str
    ) -> LabelVersion:
        image = lock_image(connection, image_id)
        before = versions_of(connection, image_id)
        now = datetime.now(UTC)
        author, client_id = values["author"], values["client_id"]
        row = dict(values) | {
            "image_id": image_id,
            "version": before[-1].version + 1 if before else 1,
            "file": file,
            "created_at": now,
            "agreement": None,
        }
        place = shown_as(row["tag"], row["state"])
        # With a draft the reader is not done yet.
        leased = seconds_leased(connection, image_id, client_id, now, end=place == FINAL)
        if row["seconds_spent"] is None:
            row["seconds_spent"] = leased
        if row["proposal_id"] is None and action == "label.save":
            row["proposal_id"] = _proposal(before, row["tag"])
        proposal = next((v for v in before if v.label_id == row["proposal_id"]), None)
        if proposal is not None and proposal.model is not None and row["model_version"] is None:
            row |= {"model": proposal.model, "model_version": proposal.model_version}
        label_id = connection.execute(_INSERT, {**row, "shown_as": place}).scalar_one()
        saved = LabelVersion(label_id=label_id, **row)
        settle(connection, image_id, image, before=before, after=[*before, saved])
        touch_session(connection, self._database, client_id, author, saved=1, now=now)
        record_act(
            connection,
            action,
            author=author,
            client_id=client_id,
            image_id=image_id,
            label_id=saved.label_id,
            details={"version": saved.version, "tag": saved.tag, "state": saved.state},
            at=now,
        )
        return saved


def _proposal(versions: Sequence[LabelVersion], tag: str) -> int | None:
    """The proposal that a new reading started from, as far as the order of the versions tells."""
    if tag not in (FINAL, DRAFT):
        return None
    proposal, final = newest(versions, ORIGINAL), newest(versions, FINAL)
    if proposal is None or (final is not None and final.version > proposal.version):
        return None
    return proposal.label_id


def _is_known(versions: Sequence[LabelVersion], sha256: str) -> bool:
    return any(v.sha256 == sha256 for v in versions)


_ALL = (
    select(*version_columns())
    .where(labels_table.c.image_id == bindparam("b_image"))
    .order_by(labels_table.c.version)
)
_CURRENT = (
    select(*version_columns())
    .where(labels_table.c.image_id == bindparam("b_image"), labels_table.c.shown_as == bindparam("b_tag"))
    .order_by(labels_table.c.version.desc())
    .limit(1)
)
_INSERT = insert(labels_table).returning(labels_table.c.label_id)
_SET_STATE = update(labels_table).where(labels_table.c.label_id == bindparam("b_label"))
