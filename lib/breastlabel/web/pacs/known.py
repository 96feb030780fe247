"""What this server has seen in a PACS already, so that nothing is asked for twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from breastlabel.errors import StudiesError
from breastlabel.web.pacs.client import Place

__all__ = ["Known", "State", "StudySize"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS studies (
    uid TEXT PRIMARY KEY, instances INTEGER, series INTEGER, looked_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS studies_looked_at ON studies (looked_at);
CREATE TABLE IF NOT EXISTS series (uid TEXT PRIMARY KEY, study TEXT NOT NULL, instances INTEGER);
CREATE INDEX IF NOT EXISTS series_study ON series (study);
CREATE TABLE IF NOT EXISTS objects (
    uid TEXT PRIMARY KEY, series TEXT NOT NULL, study TEXT NOT NULL, state TEXT NOT NULL, reason TEXT,
    tries INTEGER NOT NULL, again_at REAL
);
CREATE INDEX IF NOT EXISTS objects_series ON objects (series);
CREATE INDEX IF NOT EXISTS objects_study ON objects (study);
CREATE INDEX IF NOT EXISTS objects_again_at ON objects (again_at) WHERE again_at IS NOT NULL;
"""
#: Seconds until an object that the PACS did not give is asked for again, by how often it was.
_PAUSES = (60.0, 600.0, 3600.0, 21600.0, 86400.0)


class State(StrEnum):
    """What became of an object."""

    IMAGE = "image"
    """Fetched; a file of the studies folder."""
    RESULT = "result"
    """A segmentation or report of another program, handed on."""
    OURS = "ours"
    """Written by this software."""
    LEFT = "left"
    """Nothing that is wanted, or nothing that can be read; it is not asked for again."""
    FAILED = "failed"
    """The PACS did not give it; it is asked for again, ever more seldom."""
    OWED = "owed"
    """Written by this software, and not taken by the PACS yet; it is offered again."""
    GONE = "gone"
    """Was an image or a result until the PACS had it no more; it is fetched anew if it comes back."""


class StudySize(NamedTuple):
    """How much there is in a study; None where the PACS does not say."""

    instances: int | None
    series: int | None


class Known:
    """A small database beside the catalog. Losing it costs a look at everything, and nothing else.

    The catalog itself holds what was fetched; this holds how far the PACS was looked through.

    Attributes:
        file: where it lies.
    """

    def __init__(self, file: Path, *, wanted: str) -> None:
        """Open it, or make it.

        Args:
            wanted: what is looked for in the studies; where that changes, all are looked through again.

        Raises:
            StudiesError: it cannot be opened.
        """
        self.file = file
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                file, timeout=30, check_same_thread=False, isolation_level=None
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A lost note is made again from the PACS.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
            self._forget_unless(wanted)
            rows = self._connection.execute("SELECT uid, instances, series FROM studies")
            self._studies = {uid: StudySize(instances, series) for uid, instances, series in rows}
        except (sqlite3.Error, OSError) as error:
            raise StudiesError(
                f"a readable '{file.name}' is required in the studies folder; got {type(error).__name__}; "
                "remove it, and the PACS is looked through anew"
            ) from error

    def _forget_unless(self, wanted: str) -> None:
        row = self._connection.execute("SELECT value FROM facts WHERE name = 'wanted'").fetchone()
        if row is None or row[0] != wanted:
            self._connection.executescript("DELETE FROM studies; DELETE FROM series;")
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES ('wanted', ?)", (wanted,))

    def close(self) -> None:
        """Nothing can be asked or noted afterwards."""
        with self._lock:
            self._connection.close()

    # Studies and series

    def is_unchanged(self, study: str, size: StudySize) -> bool:
        """Whether a study was looked through when it was just as large. Takes no time in a large archive."""
        return None not in size and self._studies.get(study) == size

    def note_study(self, study: str, size: StudySize, *, at: float) -> None:
        """A study was looked through."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO studies VALUES (?, ?, ?, ?)", (study, size.instances, size.series, at)
            )
        self._studies[study] = size

    def studies(self) -> set[str]:
        """Those that were looked through."""
        return set(self._studies)

    def forget_study(self, study: str) -> None:
        """Look a study through as a new one, should it be listed."""
        with self._write() as connection:
            _forget(connection, study)
        self._studies.pop(study, None)

    def longest_unseen(self, *, before: float, most: int) -> list[str]:
        """Studies that were last looked at before a moment, the longest ago first."""
        query = "SELECT uid FROM studies WHERE looked_at < ? ORDER BY looked_at LIMIT ?"
        with self._lock:
            return [uid for (uid,) in self._connection.execute(query, (before, most))]

    def study_size(self, study: str) -> StudySize:
        """How large a study was when it was looked through."""
        return self._studies.get(study, StudySize(None, None))

    def series_size(self, series: str) -> int | None:
        """How many instances a series had when it was looked through."""
        with self._lock:
            row = self._connection.execute("SELECT instances FROM series WHERE uid = ?", (series,)).fetchone()
        return None if row is None else row[0]

    def note_series(self, study: str, series: str, instances: int | None) -> None:
        """A series was looked through."""
        with self._write() as connection:
            connection.execute("INSERT OR REPLACE INTO series VALUES (?, ?, ?)", (series, study, instances))

    # Objects

    def unknown(self, series: str, instances: Iterable[str]) -> list[str]:
        """Those of a series' instances of which nothing is noted, in their order."""
        with self._lock:
            query = "SELECT uid FROM objects WHERE series = ? AND state != ?"
            rows = self._connection.execute(query, (series, State.GONE.value))
            known = {uid for (uid,) in rows}
        return [uid for uid in instances if uid not in known]

    def held(self, study: str) -> list[Place]:
        """Images and results of a study, but for those about which the PACS is to be asked again."""
        query = (
            "SELECT study, series, uid FROM objects WHERE study = ? AND state IN (?, ?) AND again_at IS NULL"
        )
        with self._lock:
            rows = self._connection.execute(query, (study, State.IMAGE.value, State.RESULT.value))
            return [Place(*row) for row in rows]

    def state(self, instance: str) -> State | None:
        """What became of an object; None where nothing is noted."""
        with self._lock:
            row = self._connection.execute("SELECT state FROM objects WHERE uid = ?", (instance,)).fetchone()
        return None if row is None else State(row[0])

    def place(self, instance: str) -> Place | None:
        """Where an object is in the PACS; None where nothing is noted, or it is gone."""
        query = "SELECT study, series, uid FROM objects WHERE uid = ? AND state != ?"
        with self._lock:
            row = self._connection.execute(query, (instance, State.GONE.value)).fetchone()
        return None if row is None else Place(*row)

    def note(self, place: Place, state: State, *, reason: str | None = None) -> None:
        """What became of an object.

        Args:
            reason: why it was left, without identifiers.
        """
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, 0, NULL)",
                (place.instance, place.series, place.study, state.value, reason),
            )

    def note_gone(self, place: Place) -> None:
        """The PACS has an object no more; should its study be listed, that is looked through as a new one."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, NULL, 0, NULL)",
                (place.instance, place.series, place.study, State.GONE.value),
            )
            _forget(connection, place.study)
        self._studies.pop(place.study, None)

    def note_failure(self, place: Place, reason: str, *, at: float, state: State = State.FAILED) -> None:
        """The PACS did not give or take an object, or has it no more; it is due after a growing pause."""
        with self._write() as connection:
            query = "SELECT tries FROM objects WHERE uid = ?"
            row = connection.execute(query, (place.instance,)).fetchone()
            tries = 0 if row is None else int(row[0])
            again = at + _PAUSES[min(tries, len(_PAUSES) - 1)]
            connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
                (place.instance, place.series, place.study, state.value, reason, tries + 1, again),
            )

    def due(self, at: float, *, most: int) -> list[Place]:
        """Objects to ask for, or to offer, again; an image or a result among them may be gone."""
        query = "SELECT study, series, uid FROM objects WHERE again_at <= ? ORDER BY again_at LIMIT ?"
        with self._lock:
            return [Place(*row) for row in self._connection.execute(query, (at, most))]

    def reasons(self) -> dict[str, int]:
        """Why objects were left or failed, and how many of each."""
        query = "SELECT reason, COUNT(*) FROM objects WHERE reason IS NOT NULL GROUP BY reason"
        with self._lock:
            return dict(self._connection.execute(query).fetchall())

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction.

        Raises:
            OSError: the disk is full.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise OSError(f"the notes on the PACS cannot be written ({type(error).__name__})") from error


def _forget(connection: sqlite3.Connection, study: str) -> None:
    connection.execute("DELETE FROM studies WHERE uid = ?", (study,))
    connection.execute("DELETE FROM series WHERE study = ?", (study,))
