"""Several annotators on several servers, and servers that are killed: what was acknowledged is there."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.client.client import MONAILabelClientException
from PIL import Image

from breastlabel.catalog import Catalog
from breastlabel.imaging import Geometry, read_mask, write_mask

from .serving import Server, running_server

pytestmark = pytest.mark.slow

SHAPE = (24, 32)
N_IMAGES = 32
READERS = 8
NAMED = [{"name": "benign", "idx": 1}]


@dataclass(frozen=True)
class Saved:
    """What a server acknowledged."""

    image: str
    version: int
    client: str
    mark: int


class Site:
    """A folder of images on one of the databases, and its servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.studies = folder / "studies"
        self.studies.mkdir()
        rng = np.random.default_rng(0)
        for i in range(N_IMAGES):
            Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(self.studies / f"case-{i:02d}.png")
        self._servers = contextlib.ExitStack()
        self._started = 0

    def start(self) -> Server:
        """One more server on the folder."""
        self._started += 1
        folder = self.folder / f"server-{self._started}"
        return self._servers.enter_context(running_server(self.studies, folder))

    def close(self) -> None:
        self._servers.close()

    def check(self, acknowledged: list[Saved]) -> None:
        """Each reading that was acknowledged is there, whole, and under its reader's name."""
        with Catalog.open(self.studies) as catalog:
            for saved in acknowledged:
                version = catalog.labels.get(saved.image, saved.version)
                assert version.client_id == saved.client
                assert mark_of(catalog.labels.path(version)) == saved.mark
            for image in {saved.image for saved in acknowledged}:
                history = catalog.labels.history(image)
                assert [v.version for v in history] == list(range(1, len(history) + 1))
                for version in history:
                    content = catalog.labels.path(version).read_bytes()
                    assert hashlib.sha256(content).hexdigest() == version.sha256
                shown = self.studies / "labels" / "final" / f"{image}.nii.gz"
                assert mark_of(shown) == mark_of(catalog.labels.path(history[-1]))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
        if request.param == "postgresql":
            import psycopg

            address = request.getfixturevalue("postgres_server")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("CREATE DATABASE annotators")
            patch.setenv("BREASTLABEL_DATABASE_URL", f"{address.rpartition('/')[0]}/annotators")
        made = Site(tmp_path_factory.mktemp("annotators"))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def pair(site: Site) -> tuple[Server, Server]:
    """Two servers on one folder."""
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: site.start(), range(2))
    return one, two


def mark_of(file: Path) -> int:
    return sum(1 << int(i) for i in np.flatnonzero(read_mask(file, shape=SHAPE)))


def save(server: Server, client: str, image: str, mark: int, folder: Path) -> Saved:
    """Save a label map that tells its number, which no other has, as a viewer saves it."""
    mask = np.zeros(SHAPE, np.uint8)
    mask.flat[[i for i in range(24) if mark >> i & 1]] = 1
    file = folder / f"{client}.nii.gz"
    write_mask(file, mask, geometry=Geometry())
    answer = server.client(client).save_label(image, str(file), params={"label_info": NAMED})
    assert answer["image"] == image
    return Saved(image, answer["version"], client, mark)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(work, range(READERS)))


def test_no_two_readers_are_given_the_same_image(pair: tuple[Server, Server]) -> None:
    def ask(reader: int) -> list[str]:
        client = pair[reader % 2].client(f"asking-{reader}")
        strategies = ("first", "random", "entropy")
        return [client.next_sample(strategies[i % 3], {})["id"] for i in range(N_IMAGES // READERS)]

    given = [image for images in at_once(ask) for image in images]
    assert sorted(given) == [f"case-{i:02d}" for i in range(N_IMAGES)]
    assert pair[0].client("late").next_sample("random", {}) == {}
    listed = pair[1].client("late").datastore()["objects"]
    assert set(given) <= set(listed), "images on lease are listed for the viewers that were given them"


def test_readers_of_two_servers_who_save_one_image_lose_nothing(
    site: Site, pair: tuple[Server, Server], tmp_path: Path
) -> None:
    saved = at_once(lambda reader: save(pair[reader % 2], f"both-{reader}", "case-00", reader + 1, tmp_path))
    assert sorted(s.version for s in saved) == list(range(1, READERS + 1))
    site.check(saved)


def test_eight_annotators_lose_and_cross_nothing(
    site: Site, pair: tuple[Server, Server], tmp_path: Path
) -> None:
    until = time.monotonic() + 30
    seen_by_both: list[str] = []

    def read(reader: int) -> list[Saved]:
        rng, saved = random.Random(reader), list[Saved]()
        client, server = f"reader-{reader}", pair[reader % 2]
        while time.monotonic() < until or len(saved) < 3:
            sample = server.client(client).next_sample(rng.choice(("random", "revisit")), {})
            image = sample.get("id") or f"case-{rng.randrange(N_IMAGES):02d}"
            saved.append(save(server, client, image, reader << 16 | len(saved) + 100, tmp_path))
            # What one server acknowledged, the other has.
            query = {"label": image, "version": saved[-1].version}
            answer = pair[(reader + 1) % 2].request("GET", "/datastore/label", params=query)
            (tmp_path / f"{client}-back.nii.gz").write_bytes(answer.content)
            assert mark_of(tmp_path / f"{client}-back.nii.gz") == saved[-1].mark
            seen_by_both.append(image)
        return saved

    saved = [s for of_reader in at_once(read) for s in of_reader]
    assert len(saved) == len(seen_by_both) >= 3 * READERS
    assert len({(s.image, s.version) for s in saved}) == len(saved)
    site.check(saved)


def test_a_killed_server_comes_back_with_every_acknowledged_label(site: Site, tmp_path: Path) -> None:
    server, acknowledged = site.start(), list[Saved]()
    killed = threading.Event()

    def read(reader: int) -> None:
        for count in range(10_000):
            image = f"case-{(reader + count) % N_IMAGES:02d}"
            try:
                done = save(server, f"kill-{reader}", image, 1 << 23 | reader << 16 | count + 1, tmp_path)
            except (OSError, http.client.HTTPException, MONAILabelClientException):
                if killed.is_set():
                    return
                raise
            acknowledged.append(done)

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read, reader) for reader in range(READERS)]
        deadline = time.monotonic() + 60
        while len(acknowledged) < 4 * READERS and time.monotonic() < deadline:
            time.sleep(0.05)
        # In the middle of the requests that are under way.
        killed.set()
        os.killpg(server.process.pid, signal.SIGKILL)
        for reader in readers:
            reader.result(timeout=120)
    assert len(acknowledged) >= 4 * READERS

    server = site.start()
    site.check(acknowledged)
    completed = server.client().info()["datastore"]["completed"]
    assert completed >= len({s.image for s in acknowledged})
    # And between two requests.
    acknowledged.append(save(server, "last", "case-01", 1 << 22, tmp_path))
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(timeout=30)
    site.check(acknowledged)
    # A name with a dot in front is nobody's label; such leftovers are removed later.
    shown = [p.name for p in site.studies.glob("labels/final/*") if not p.name.startswith(".")]
    assert all(name.endswith(".nii.gz") for name in shown)
