"""Compares a studies folder with its catalog after writers were killed in it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from breastlabel.catalog import Catalog

__all__ = ["Acknowledged", "problems_of"]

_VERSIONS = Path(".breastlabel") / "label-versions"
_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Acknowledged:
    """A label that a writer was told to be saved."""

    image_id: str
    version: int
    sha256: str


def problems_of(studies: Path, acknowledged: Iterable[Acknowledged]) -> tuple[int, list[str]]:
    """How many label versions there are, and all that is wrong with them.

    The projections are looked at twice: as the kill left them, when they may be old but must be whole, and
    after the folder is opened again, when they must show the newest accepted label.
    """
    problems = [f"half a file: {path.name}" for path in _label_files(studies) if not _is_whole(path)]
    with Catalog.open(studies) as catalog:
        _wait_until_quiet(catalog)
        versions = {
            (v.image_id, v.version): v for r in catalog.images() for v in catalog.labels.history(r.image_id)
        }
        for label in acknowledged:
            found = versions.get((label.image_id, label.version))
            if found is None or found.sha256 != label.sha256:
                problems.append(f"lost: {label}")
        problems += [
            f"not as recorded: {v.image_id} version {v.version}"
            for v in versions.values()
            if _sha256(catalog.labels.path(v)) != v.sha256
        ]
        problems += [*_projections(catalog), *_database(catalog), *_counts(catalog), *_numbers(versions)]
    return len(versions), problems


def _label_files(studies: Path) -> Iterator[Path]:
    for folder in (studies / "labels", studies / _VERSIONS):
        yield from (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _is_whole(path: Path) -> bool:
    data = path.read_bytes()
    return hashlib.sha256(data[:-32]).digest() == data[-32:]


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _wait_until_quiet(catalog: Catalog) -> None:
    """A PostgreSQL server ends the transaction of a client that was killed a moment after the client."""
    if catalog.database.is_sqlite:
        return
    deadline = time.monotonic() + _QUIET_SECONDS
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    while _one(catalog, others) and time.monotonic() < deadline:
        time.sleep(0.05)


def _projections(catalog: Catalog) -> Iterator[str]:
    assert catalog.studies is not None
    shown = {
        (path.parent.name, path.name.partition(".")[0]): _sha256(path)
        for path in (catalog.studies / "labels").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    for tag in ("final", "original", "draft"):
        current = {i: v.sha256 for i, v in catalog.labels.current_many(tag).items()}
        for image_id in sorted({i for t, i in shown if t == tag} | set(current)):
            if shown.get((tag, image_id)) != current.get(image_id):
                yield f"labels/{tag} of {image_id} is not the newest accepted label"


def _database(catalog: Catalog) -> Iterator[str]:
    if catalog.database.is_sqlite:
        if (said := _one(catalog, "PRAGMA integrity_check")) != "ok":
            yield f"integrity_check: {said}"
        if (said := _one(catalog, "PRAGMA foreign_key_check")) is not None:
            yield f"foreign_key_check: {said}"
    wrong = {
        "leases of images that are not there": "SELECT count(*) FROM leases WHERE image_id NOT IN "
        "(SELECT image_id FROM images)",
        "leases that end before they begin": "SELECT count(*) FROM leases WHERE expires_at <= leased_at",
        "scores that say otherwise whether the image waits": "SELECT count(*) FROM scores JOIN images "
        "ON images.image_id = scores.image_id WHERE images.waiting <> scores.waiting",
        "labels without an entry in the audit": "SELECT count(*) FROM labels WHERE label_id NOT IN "
        "(SELECT label_id FROM audit WHERE label_id IS NOT NULL)",
    }
    for what, query in wrong.items():
        if n := _one(catalog, query):
            yield f"{n} {what}"


def _counts(catalog: Catalog) -> Iterator[str]:
    counts = catalog.counts()
    truth = {
        "total": _one(catalog, "SELECT count(*) FROM images"),
        "waiting": _one(catalog, "SELECT count(*) FROM images WHERE waiting"),
        **{f"labelled:{tag}": len(catalog.labels.current_many(tag)) for tag in counts.labelled},
    }
    kept = {"total": counts.total, "waiting": counts.waiting}
    kept |= {f"labelled:{tag}": n for tag, n in counts.labelled.items()}
    for name, n in truth.items():
        if kept[name] != n:
            yield f"count {name} is {kept[name]} where there are {n}"


def _numbers(versions: Iterable[tuple[str, int]]) -> Iterator[str]:
    highest: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for image_id, version in versions:
        found[image_id] += 1
        highest[image_id] = max(highest[image_id], version)
    yield from (f"versions of {i} are not 1 to {n}" for i, n in highest.items() if found[i] != n)


def _one(catalog: Catalog, query: str) -> Any:
    with catalog.database.read() as connection:
        return connection.execute(text(query)).scalar()
