"""Any sequence of what annotators, engineers and other programs do, against a model of plain dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from breastlabel.catalog import Catalog
from breastlabel.errors import NotFoundError
from breastlabel.imaging import Geometry, read_mask, write_mask
from breastlabel.label.datastore import StudiesDatastore
from breastlabel.label.errors import ConflictError
from breastlabel.label.strategies import create_strategies

SHAPE = (6, 8)
IDS = st.sampled_from(["a", "b", "c", "d"])
TAGS = st.sampled_from(["final", "draft", "original"])
CLIENTS = st.sampled_from(["one", "two"])
STATES = st.sampled_from(["draft", "final", "rejected"])


@dataclass
class Reading:
    tag: str
    state: str
    mark: int

    @property
    def shown_as(self) -> str | None:
        if self.state == "rejected":
            return None
        if self.state == "draft":
            return "draft"
        return "final" if self.tag == "draft" else self.tag


@dataclass
class Known:
    """What an image should be like."""

    there: bool = True
    unreadable: bool = False
    notes: dict[str, int] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)

    def shown(self, tag: str) -> Reading | None:
        return next((r for r in reversed(self.readings) if r.shown_as == tag), None)

    @property
    def waits(self) -> bool:
        return self.there and not self.unreadable and self.shown("final") is None


class Annotation(RuleBasedStateMachine):
    """Annotators, an engineer and the file system act on one folder, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="breastlabel-model-"))
        self.studies = self.folder / "studies"
        self.studies.mkdir()
        self.images: dict[str, Known] = {}
        self.leases: dict[str, str] = {}
        self.marks = 0
        for image in "ab":
            self.put(image)
            self.images[image] = Known()
        self.strategies = create_strategies(models=[], version=lambda _: None)
        self.catalog = Catalog.open(self.studies)
        self.store = StudiesDatastore(self.catalog)

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)

    def put(self, image: str, folder: Path | None = None) -> Path:
        self.marks += 1
        pixels = np.arange(48, dtype=np.uint8).reshape(SHAPE) + np.uint8(self.marks % 100)
        path = (folder or self.studies) / f"{image}.png"
        Image.fromarray(pixels).save(path)
        return path

    def known(self, image: str) -> Known | None:
        """The model of an image that can be worked on."""
        found = self.images.get(image)
        return found if found is not None and found.there else None

    # Annotators

    @rule(image=IDS, tag=TAGS, client=CLIENTS)
    def save(self, image: str, tag: str, client: str) -> None:
        self.marks += 1
        mask = np.zeros(SHAPE, np.uint8)
        # No two readings are alike, so that each can be told from every other.
        mask.flat[[i for i in range(48) if self.marks >> i & 1]] = 1
        write_mask(self.folder / "label.nii.gz", mask, geometry=Geometry())
        known = self.known(image)
        if known is None:
            with pytest.raises(NotFoundError):
                self.store.save(image, self.folder / "label.nii.gz", tag, {"client_id": client})
            return
        saved = self.store.save(image, self.folder / "label.nii.gz", tag, {"client_id": client})
        known.readings.append(Reading(tag, "draft" if tag == "draft" else "final", self.marks))
        assert saved.version == len(known.readings)
        if tag == "final" and self.leases.get(image) == client:
            del self.leases[image]

    @rule(client=CLIENTS, strategy=st.sampled_from(["first", "random", "entropy"]))
    def ask_for_the_next(self, client: str, strategy: str) -> None:
        given = self.strategies[strategy]({"client_id": client}, self.store)
        waiting = {i for i, known in self.images.items() if known.waits}
        free = {i for i in waiting if i not in self.leases}
        own = {i for i in waiting if self.leases.get(i) == client}
        if given is None:
            assert not free
            assert not own
            return
        assert given["id"] in (free or own)
        self.leases[given["id"]] = client

    @rule(image=IDS, client=CLIENTS)
    def find_it_unreadable(self, image: str, client: str) -> None:
        known = self.known(image)
        if known is not None and self.leases.get(image) in (None, client):
            self.store.take_back(image, client, ValueError("damaged"))
            known.unreadable = True
            self.leases.pop(image, None)

    # Reviewers and engineers

    @precondition(lambda self: any(k.readings for k in self.images.values()))
    @rule(data=st.data(), state=STATES)
    def judge(self, data: st.DataObject, state: str) -> None:
        image, version = self.some_reading(data)
        self.store.set_state(image, version, state, {})
        self.images[image].readings[version - 1].state = state

    @precondition(lambda self: any(k.readings for k in self.images.values()))
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        image, version = self.some_reading(data)
        readings = self.images[image].readings
        self.store.restore(image, version, {"client_id": "engineer"})
        readings.append(Reading("final", "final", readings[version - 1].mark))

    def some_reading(self, data: st.DataObject) -> tuple[str, int]:
        image = data.draw(st.sampled_from(sorted(i for i, k in self.images.items() if k.readings)))
        return image, data.draw(st.integers(1, len(self.images[image].readings)))

    @rule(image=IDS, tag=TAGS)
    def remove_label(self, image: str, tag: str) -> None:
        known = self.images.get(image)
        if known is None or known.shown(tag) is None:
            with pytest.raises(NotFoundError):
                self.store.remove_label(image, tag)
            return
        self.store.remove_label(image, tag)
        for reading in known.readings:
            if reading.shown_as == tag:
                reading.state = "rejected"

    @rule(image=IDS)
    def add_image(self, image: str) -> None:
        (self.folder / "upload").mkdir(exist_ok=True)
        source = self.put(image, self.folder / "upload")
        if self.known(image) is not None:
            with pytest.raises(ConflictError):
                self.store.add_image(image, str(source), {})
            return
        self.store.add_image(image, str(source), {})
        self.images.setdefault(image, Known()).there = True
        self.images[image].unreadable = False

    @rule(image=IDS)
    def remove_image(self, image: str) -> None:
        known = self.known(image)
        if known is None:
            with pytest.raises(NotFoundError):
                self.store.remove_image(image)
            return
        self.store.remove_image(image)
        known.there = known.unreadable = False
        for reading in known.readings:
            reading.state = "rejected"

    @rule(image=IDS, key=st.sampled_from(["quality", "note"]), value=st.integers(0, 9))
    def note(self, image: str, key: str, value: int) -> None:
        if image not in self.images:
            with pytest.raises(NotFoundError):
                self.store.update_image_info(image, {key: value})
            return
        self.store.update_image_info(image, {key: value})
        self.images[image].notes[key] = value

    # Other programs, and the end of this one

    @rule(image=IDS)
    def a_file_appears(self, image: str) -> None:
        if self.known(image) is None:
            self.put(image)
            self.store.refresh()
            self.images.setdefault(image, Known()).there = True

    @rule(image=IDS)
    def a_file_vanishes(self, image: str) -> None:
        known = self.known(image)
        if known is not None and not known.unreadable:
            (self.studies / f"{image}.png").unlink()
            self.store.refresh()
            known.there = False

    @rule()
    def reopen(self) -> None:
        self.catalog.close()
        self.catalog = Catalog.open(self.studies)
        self.store = StudiesDatastore(self.catalog)

    # What must hold after each of them

    @invariant()
    def images_and_counts_agree(self) -> None:
        there = {i for i, known in self.images.items() if known.there}
        assert self.store.list_images() == sorted(there)
        assert self.store.get_unlabeled_images() == sorted(i for i, k in self.images.items() if k.waits)
        status = self.store.status()
        labelled = {
            tag: n
            for tag in ("draft", "final", "original")
            if (n := sum(known.shown(tag) is not None for known in self.images.values()))
        }
        assert status == {
            "total": len(there),
            "completed": labelled.get("final", 0),
            "label_tags": labelled,
        }
        assert self.catalog.counts().waiting == len(self.store.get_unlabeled_images())

    @invariant()
    def every_reading_is_kept_and_the_newest_is_shown(self) -> None:
        for image, known in self.images.items():
            history = self.catalog.labels.history(image)
            assert [(v.tag, v.state) for v in history] == [(r.tag, r.state) for r in known.readings]
            assert [mark_of(self.catalog.labels.path(v)) for v in history] == [r.mark for r in known.readings]
            assert self.catalog.image_info(image).items() >= known.notes.items()
            for tag in ("draft", "final", "original"):
                shown, files = known.shown(tag), list(self.studies.glob(f"labels/{tag}/{image}.*"))
                assert [mark_of(file) for file in files] == ([] if shown is None else [shown.mark])


def mark_of(file: Path) -> int:
    return sum(1 << int(i) for i in np.flatnonzero(read_mask(file)))


@contextmanager
def fresh_databases(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Gives every example a PostgreSQL database of its own."""
    import psycopg

    made: list[str] = []

    def next_one() -> None:
        made.append(f"model_{len(made)}")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{made[-1]}"')
        monkeypatch.setenv("BREASTLABEL_DATABASE_URL", f"{server.rpartition('/')[0]}/{made[-1]}")

    yield next_one
    with psycopg.connect(server, autocommit=True) as connection:
        for name in made:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def run(machine: Any, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_is_done_in_whatever_order_on_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    run(Annotation, examples=8, steps=25)


@pytest.mark.slow
def test_whatever_is_done_in_whatever_order_on_postgresql(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_databases(postgres_server, monkeypatch) as next_database:

        class OnPostgres(Annotation):
            def __init__(self) -> None:
                next_database()
                super().__init__()

        run(OnPostgres, examples=3, steps=30)
