"""Saving a label, writing a score, finding the next sample: our catalog against MONAI Label's datastore."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.folders import image_folder, image_id, studies_of
from benchmarks.results import Row, at_least, at_most
from benchmarks.timing import alternately, milliseconds
from breastlabel.catalog import Catalog
from breastlabel.imaging import Geometry, write_mask

__all__ = ["rows"]

_FEW, _SIZE = 1_000, 64
_MODEL, _VERSION, _METHOD = "ultrasound", "bench", "entropy"
_REPEATS = 15
# The bar, twice the raw syncs, was set where those took 12 to 16 ms. Some disks acknowledge a sync in one,
# before anything is written; against those it would forbid all work, checking the label's size included.
_LEAST_SYNCS = 8e-3


class _Folder:
    """A studies folder behind our datastore and strategies."""

    def __init__(self, folder: Path, n: int) -> None:
        from breastlabel.label.datastore import StudiesDatastore
        from breastlabel.label.strategies import create_strategies

        self.n = n
        self.catalog = Catalog.open(studies_of(folder, n, size=_SIZE))
        self.store = StudiesDatastore(self.catalog)
        self._strategies = create_strategies(models=[_MODEL], version=lambda model: _VERSION)
        self._ids = itertools.cycle(range(n))
        self.mask = _mask(folder.parent / f"mask-{n}.nii.gz")

    def save(self) -> None:
        self.store.save_label(image_id(next(self._ids)), str(self.mask), "final", {"client_id": "bench"})

    def score_all(self) -> None:
        values = {image_id(i): float(i % 997) for i in range(self.n)}
        self.catalog.scores.write(_METHOD, _MODEL, _VERSION, values)

    def next(self, strategy: str) -> None:
        """What one click on Next Sample asks of the server: an image, and the listing."""
        request = {"strategy": strategy, "client_id": "bench"}
        chosen = self._strategies[strategy](request, self.store)
        assert chosen is not None, "no image waits any more"
        image = chosen["id"]
        self.store.get_image_info(image)
        self.store.served.checksum(image, self.store.path(image))
        json.dumps(self.store.json(), separators=(",", ":"))


def rows(*, images: int = 50_000) -> list[Row]:
    """The catalog rows of the table."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, few = _Folder(folder / "many", images), _Folder(folder / "few", _FEW)
        stock = _Stock(image_folder(folder / "stock", images, size=_SIZE), many.mask)
        return [
            *_saving(many, few, stock, folder),
            *_scoring(many, few, stock),
            *_next_sample(many, few, stock),
        ]


def _saving(many: _Folder, few: _Folder, stock: _Stock, folder: Path) -> Iterator[Row]:
    syncs = _RawSyncs(folder / "syncs", many.mask.read_bytes())
    seconds = alternately(
        {"ours": many.save, "few": few.save, "stock": stock.save, "syncs": syncs.write},
        repeats=_REPEATS,
        warm_up=3,
    )
    ours = milliseconds(seconds["ours"])
    work = f"save a label, durable, {many.n:,} images"
    yield at_least(
        work, ours, f"LocalDatastore {milliseconds(seconds['stock'])}", seconds["stock"] / seconds["ours"], 20
    )
    raw = seconds["syncs"]
    yield at_most(
        f"{work}: own work",
        milliseconds(seconds["ours"] - raw),
        f"the raw syncs {milliseconds(raw)} (a save {seconds['ours'] / raw:.1f}x), at least "
        f"{milliseconds(_LEAST_SYNCS)}",
        (seconds["ours"] - raw) / max(raw, _LEAST_SYNCS),
        1,
    )
    yield _own_time(work, seconds["ours"], seconds["few"])


def _scoring(many: _Folder, few: _Folder, stock: _Stock) -> Iterator[Row]:
    seconds = alternately(
        {"ours": many.score_all, "few": few.score_all, "stock": stock.score}, repeats=5, warm_up=2
    )
    ours, own = seconds["ours"] / many.n, seconds["few"] / few.n
    work = f"write a score, bulk, {many.n:,} images"
    yield at_least(
        work,
        f"{1e6 * ours:.1f} us",
        f"LocalDatastore {milliseconds(seconds['stock'])}",
        seconds["stock"] / ours,
        200,
    )
    yield _own_time(work, ours, own)


def _next_sample(many: _Folder, few: _Folder, stock: _Stock) -> Iterator[Row]:
    for name in ("random", _METHOD):
        seconds = alternately(
            {
                "ours": lambda name=name: many.next(name),
                "few": lambda name=name: few.next(name),
                "stock": stock.next,
            },
            repeats=_REPEATS,
            warm_up=3,
        )
        work = f"next sample ({name}) and Slicer's listing, {many.n:,} images"
        yield at_least(
            work,
            milliseconds(seconds["ours"]),
            f"random, LocalDatastore {milliseconds(seconds['stock'])}",
            seconds["stock"] / seconds["ours"],
            1,
        )
        yield _own_time(work, seconds["ours"], seconds["few"])


def _own_time(work: str, many: float, few: float) -> Row:
    return at_most(work, milliseconds(many), f"own time at {_FEW:,} {milliseconds(few)}", many / few, 1.5)


class _RawSyncs:
    """The least that a durable save costs: a synced file and its folder, and one SQLite commit."""

    def __init__(self, folder: Path, data: bytes) -> None:
        folder.mkdir()
        self._folder, self._data, self._numbers = folder, data, itertools.count()
        self._database = sqlite3.connect(folder / "raw.sqlite3", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE labels (label TEXT)")

    def write(self) -> None:
        path = self._folder / f"label-{next(self._numbers)}.nii.gz"
        with path.with_suffix(".part").open("xb") as file:
            file.write(self._data)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)
        descriptor = os.open(self._folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        self._database.execute("INSERT INTO labels VALUES (?)", (path.name,))


class _Stock:
    """MONAI Label's datastore and random strategy over the same kind of folder."""

    def __init__(self, folder: Path, mask: Path) -> None:
        from monailabel.datastore.local import LocalDatastore
        from monailabel.tasks.activelearning.random import Random

        self._store = LocalDatastore(str(folder), extensions=["*.png"])
        self._random = Random()
        self._mask = mask
        self._ids = itertools.cycle(self._store.list_images())

    def save(self) -> None:
        self._store.save_label(next(self._ids), str(self._mask), "final", {"client_id": "bench"})

    def score(self) -> None:
        self._store.update_image_info(next(self._ids), {"epistemic_entropy": 0.5, "epistemic_ts": 1})

    def next(self) -> None:
        """As ``MONAILabelApp.next_sample`` and the listing do it."""
        from monailabel.utils.others.generic import file_checksum

        image = self._random({"strategy": "random"}, self._store)["id"]
        info = self._store.get_image_info(image)
        file_checksum(self._store.get_image_uri(image))
        info["strategy"] = {"random": {"ts": int(time.time()), "client_id": "bench"}}
        self._store.update_image_info(image, info)
        json.dumps(self._store.json())


def _mask(path: Path) -> Path:
    mask = np.zeros((_SIZE, _SIZE), dtype=np.uint8)
    mask[20:40, 24:44] = 1
    write_mask(path, mask, geometry=Geometry())
    return path
