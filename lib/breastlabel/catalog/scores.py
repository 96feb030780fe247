"""How much the models would learn from each image, by method and model version."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select, text, update

from breastlabel.catalog.database import Database
from breastlabel.catalog.tables import score_runs_table as runs
from breastlabel.catalog.tables import scores_table
from breastlabel.errors import StudiesError

__all__ = ["REVISIT", "Score", "ScoreRun", "Scores", "forget_revisit_score"]

#: The method whose scores are about labels instead of waiting images: how far model and label disagree.
REVISIT = "revisit"
# A transaction's worth: long enough that its sync does not count, short enough that a label saved
# meanwhile waits some milliseconds only.
_CHUNK = 5000


@dataclass(frozen=True)
class Score:
    """What one method says of an image, by one version of a model; the higher, the sooner labelled."""

    image_id: str
    method: str
    model: str
    model_version: str
    value: float


@dataclass(frozen=True)
class ScoreRun:
    """The scores of one method by one version of one model.

    Attributes:
        n: images that have a score.
        newest: when the last of them was written, in UTC.
    """

    method: str
    model: str
    model_version: str
    n: int
    newest: datetime


class Scores:
    """The scores of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self,
        method: str,
        model: str,
        model_version: str,
        values: Mapping[str, float],
        *,
        replace: bool = False,
    ) -> int:
        """Write many scores; one that an image has already from this method and version is replaced.

        A killed write leaves the chunks before it. Images that the catalog does not know are passed over.

        Args:
            values: image id -> score, a finite number; the highest is offered first.
            replace: remove the run's scores of all other images, with the first chunk.

        Returns:
            How many images have a score of this run now.

        Raises:
            StudiesError: a score is not a finite number; nothing is written.
        """
        numbers = {image_id: float(value) for image_id, value in values.items()}
        for image_id, value in numbers.items():
            if not math.isfinite(value):
                raise StudiesError(
                    f"a score must be a finite number; got {value} for image '{image_id}'; leave it out"
                )
        # In one order everywhere, so that two transactions never wait for each other.
        ids = sorted(numbers)
        n = 0
        for start in range(0, max(len(ids), 1), _CHUNK):
            with self._database.write() as connection:
                run_id = self._run(connection, method, model, model_version)
                if replace and start == 0:
                    self._hold_images(connection, run_id, ids[:_CHUNK])
                    connection.execute(delete(scores_table).where(scores_table.c.run_id == run_id))
                rows = [
                    {"run": run_id, "image": image_id, "value": numbers[image_id]}
                    for image_id in ids[start : start + _CHUNK]
                ]
                if rows:
                    connection.execute(_WRITE_SQLITE if self._database.is_sqlite else _WRITE_POSTGRES, rows)
                n = connection.execute(
                    select(func.count()).select_from(scores_table).where(scores_table.c.run_id == run_id)
                ).scalar_one()
                connection.execute(
                    update(runs).where(runs.c.run_id == run_id), {"n": n, "written_at": datetime.now(UTC)}
                )
        return n

    def of(self, image_id: str) -> list[Score]:
        """All scores of an image, sorted by method, model and version."""
        columns = (
            scores_table.c.image_id,
            runs.c.method,
            runs.c.model,
            runs.c.model_version,
            scores_table.c.value,
        )
        query = (
            select(*columns)
            .join(runs, runs.c.run_id == scores_table.c.run_id)
            .where(scores_table.c.image_id == image_id)
        )
        with self._database.read() as connection:
            found = [Score(**row) for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda s: (s.method, s.model, s.model_version))

    def best(self, method: str, model: str, model_version: str, *, n: int) -> list[Score]:
        """The n highest scores of a run, highest first: of waiting images, for `REVISIT` of the others."""
        query = (
            select(scores_table.c.image_id, scores_table.c.value)
            .join(runs, runs.c.run_id == scores_table.c.run_id)
            .where(runs.c.method == method, runs.c.model == model, runs.c.model_version == model_version)
            .where(scores_table.c.waiting == (method != REVISIT))
            .order_by(scores_table.c.value.desc(), scores_table.c.image_id.desc())
            .limit(n)
        )
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return [Score(row.image_id, method, model, model_version, row.value) for row in found]

    def runs(self) -> list[ScoreRun]:
        """Which scores there are, oldest run first."""
        columns = (runs.c.method, runs.c.model, runs.c.model_version, runs.c.n, runs.c.written_at)
        query = select(*columns).where(runs.c.n > 0).order_by(runs.c.written_at, runs.c.run_id)
        with self._database.read() as connection:
            return [ScoreRun(*row) for row in connection.execute(query)]

    def clear(
        self, method: str, model: str, keep_version: str | None = None, *, keep_newest: int = 0
    ) -> None:
        """Remove a method's scores by a model.

        Args:
            keep_version: but for those of this version.
            keep_newest: but for so many versions (beside that one), those that were scored last.
        """
        query = (
            select(runs.c.run_id, runs.c.model_version)
            .where(runs.c.method == method, runs.c.model == model)
            .order_by(runs.c.written_at.desc(), runs.c.run_id.desc())
        )
        if keep_version is not None:
            query = query.where(runs.c.model_version != keep_version)
        with self._database.read() as connection:
            found = connection.execute(query).all()[keep_newest:]
        for run_id, model_version in found:
            with self._database.write() as connection:
                self._serialize(connection, method, model, model_version)
                self._hold_images(connection, run_id)
                connection.execute(delete(scores_table).where(scores_table.c.run_id == run_id))
                connection.execute(delete(runs).where(runs.c.run_id == run_id))

    def _run(self, connection: Connection, method: str, model: str, model_version: str) -> int:
        self._serialize(connection, method, model, model_version)
        values = {"method": method, "model": model, "model_version": model_version}
        query = select(runs.c.run_id).where(*(runs.c[name] == value for name, value in values.items()))
        found = connection.execute(query).scalar_one_or_none()
        if found is not None:
            return int(found)
        new = insert(runs).values(**values, n=0, written_at=datetime.now(UTC)).returning(runs.c.run_id)
        return int(connection.execute(new).scalar_one())

    def _serialize(self, connection: Connection, method: str, model: str, model_version: str) -> None:
        """One transaction at a time writes or removes the scores of a run."""
        self._database.serialize(connection, f"scores {method} {model} {model_version}")

    def _hold_images(self, connection: Connection, run_id: int, ids: Sequence[str] = ()) -> None:
        """Hold the images of a run, and others, before their scores, as whoever saves a label does."""
        if not self._database.is_sqlite:
            connection.execute(_HOLD_IMAGES, {"run": run_id, "ids": list(ids)})


def forget_revisit_score(connection: Connection, image_id: str) -> None:
    """A new label makes void what was said of the one before it."""
    connection.execute(_FORGET, {"image": image_id, "method": REVISIT})


_FORGET = text(
    "DELETE FROM scores WHERE image_id = :image "
    "AND run_id IN (SELECT run_id FROM score_runs WHERE method = :method)"
)
_HOLD_IMAGES = text(
    "SELECT image_id FROM images WHERE image_id = ANY(CAST(:ids AS varchar[])) "
    "OR image_id IN (SELECT image_id FROM scores WHERE run_id = :run) ORDER BY image_id FOR SHARE"
)
_WRITE = """
INSERT INTO scores (image_id, run_id, value, waiting)
SELECT image_id, {run}, {value}, waiting FROM images WHERE image_id = :image {lock}
ON CONFLICT (image_id, run_id) DO UPDATE SET value = excluded.value, waiting = excluded.waiting
"""
_WRITE_SQLITE = text(_WRITE.format(run=":run", value=":value", lock=""))
# The image's row is held, so that a label saved at the same moment either is seen here or sees the score.
_WRITE_POSTGRES = text(
    _WRITE.format(run="CAST(:run AS integer)", value="CAST(:value AS double precision)", lock="FOR SHARE")
)
