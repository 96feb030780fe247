"""Kills writers at random instants and looks whether anything that was acknowledged is gone or half there.

Several writers at once, forked from this process so that a new one costs milliseconds, save labels and scores
in one studies folder until SIGKILL. An acknowledgement is a line in a pipe, written after `save` returned.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import select
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crash_check import Acknowledged, problems_of
from benchmarks.results import Row, at_most
from breastlabel.catalog import Catalog, RandomOrder

__all__ = ["CrashReport", "rows", "run_crash_test"]

IMAGES = 24
_READY = "ready"
_SLOW_SECONDS = 30.0
_TAGS = ("final", "final", "final", "original", "draft")


@dataclass(frozen=True)
class CrashReport:
    """What a run of kills found.

    Attributes:
        kills: writers ended by SIGKILL.
        acknowledged: labels whose saving had returned before the kill.
        versions: label versions that the catalog holds; those without acknowledgement included.
        problems: what was lost, half there or contradictory, in words; empty where all is well.
        seconds: how long it took, checks included.
    """

    kills: int
    acknowledged: int
    versions: int
    problems: tuple[str, ...]
    seconds: float


def rows(*, kills: int = 1_000) -> list[Row]:
    """The crash row of the table."""
    with tempfile.TemporaryDirectory() as name:
        report = run_crash_test(Path(name) / "studies", kills=kills)
    return [
        at_most(
            f"{report.kills} times kill -9 among four writers",
            f"{report.acknowledged} labels acknowledged, {report.seconds:.0f} s",
            "labels lost, half there or contradictory",
            float(len(report.problems)),
            0.0,
            unit="",
        )
    ]


def run_crash_test(
    folder: str | Path,
    *,
    kills: int = 200,
    writers: int = 4,
    seed: int = 0,
    batch: int = 50,
    pause: float = 0.02,
) -> CrashReport:
    """Save in a new studies folder from several processes, kill them again and again, and compare.

    Where ``BREASTLABEL_DATABASE_URL`` is set, the catalog lies there. Of five writers one is killed
    whatever it does, the others a random time after they began or saved something; each has a successor.

    Args:
        kills: how many; those who still write at the end of a batch count among them.
        batch: kills between two comparisons.
        pause: seconds between two kills, on average; the next victim is drawn at random.
    """
    studies = Path(folder)
    studies.mkdir(parents=True)
    for n in range(IMAGES):
        (studies / f"i{n:02}.png").write_bytes(b"never read")
    rng = random.Random(seed)
    run = _Run(studies, rng, _warm_catalog(studies, rng))
    started = time.monotonic()
    problems: list[str] = []
    versions = 0
    while run.kills < kills and not problems:
        end = min(kills, run.kills + batch)
        while run.kills + len(run.writers) < end:
            while len(run.writers) < writers:
                run.start()
            victim = rng.choice(list(run.writers))
            run.wait_until_said(victim, lines=rng.choice((0, 1, 1, 1, 2)))
            time.sleep(rng.uniform(0, 2 * pause))
            run.kill(victim)
        for pid in list(run.writers):
            run.kill(pid)
        versions, found = problems_of(studies, run.acknowledged)
        problems = [*run.errors, *found]
    return CrashReport(
        kills=run.kills,
        acknowledged=len(run.acknowledged),
        versions=versions,
        problems=tuple(problems),
        seconds=time.monotonic() - started,
    )


def _warm_catalog(studies: Path, rng: random.Random) -> Catalog:
    """A catalog whose statements are compiled and whose connections are closed, ready to be forked."""
    catalog = Catalog.open(studies)
    silent = os.open(os.devnull, os.O_WRONLY)
    writer = _Writer(catalog, rng, silent)
    for act in (writer.save_any, *writer.acts):
        act()
    os.close(silent)
    catalog.close()
    return catalog


@dataclass
class _Run:
    """The writers that live, and what all of them have said."""

    studies: Path
    rng: random.Random
    catalog: Catalog
    kills: int = 0
    writers: dict[int, _Pipe] = field(default_factory=dict)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def start(self) -> None:
        listen, say = os.pipe()
        seed = self.rng.getrandbits(32)
        pid = os.fork()
        if pid == 0:
            _write_until_killed(self.studies, self.catalog, seed, say)
        os.close(say)
        self.writers[pid] = _Pipe(listen)

    def wait_until_said(self, pid: int, *, lines: int) -> None:
        """So that on a slow machine, too, some writers come to save."""
        deadline = time.monotonic() + _SLOW_SECONDS
        while self.writers[pid].read() < lines and time.monotonic() < deadline:
            time.sleep(0.001)

    def kill(self, pid: int) -> None:
        pipe = self.writers.pop(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        for line in pipe.close():
            if line.startswith("error "):
                self.errors.append(line)
            elif line != _READY:
                image_id, version, sha256 = line.split()
                self.acknowledged.append(Acknowledged(image_id, int(version), sha256))


class _Pipe:
    """What one writer says."""

    def __init__(self, listen: int) -> None:
        self._listen = listen
        self._said = b""

    def read(self) -> int:
        """How many lines were said until now."""
        while select.select([self._listen], [], [], 0)[0] and (some := os.read(self._listen, 1 << 16)):
            self._said += some
        return self._said.count(b"\n")

    def close(self) -> list[str]:
        """All lines of a writer that is dead."""
        self.read()
        os.close(self._listen)
        return self._said.decode().splitlines()


def _write_until_killed(studies: Path, catalog: Catalog, seed: int, say: int) -> None:
    """The life of a writer, in a child process: never returns."""
    rng = random.Random(seed)
    try:
        # Some begin as a server does, which compares folder and catalog while others write.
        if rng.random() < 0.25:
            catalog = Catalog.open(studies)
        writer = _Writer(catalog, rng, say)
        os.write(say, f"{_READY}\n".encode())
        while True:
            writer.act()
    except BaseException as error:
        # A kill is no exception: whatever comes here is a fault of the catalog.
        with contextlib.suppress(OSError):
            told = f"error {type(error).__name__}: {error}"[:500].replace("\n", " ")
            os.write(say, f"{told}\n".encode())
        signal.pause()
    finally:
        os._exit(1)


class _Writer:
    """One annotator who saves, restores, removes and scores without a pause."""

    def __init__(self, catalog: Catalog, rng: random.Random, say: int) -> None:
        self.catalog, self.rng, self.say = catalog, rng, say
        self.name = f"reader-{rng.randrange(8)}"
        self.acts: list[Callable[[], None]] = [
            *[self.save_leased] * 3,
            *[self.save_any] * 4,
            self.restore,
            self.reject,
            self.score,
        ]

    def act(self) -> None:
        self.rng.choice(self.acts)()

    def save_leased(self) -> None:
        lease = self.catalog.leases.acquire(self.name, RandomOrder(), strategy="random", seconds=1.0)
        if lease is not None:
            self.save(lease.image_id)

    def save_any(self) -> None:
        self.save(self.image())

    def save(self, image_id: str) -> None:
        saved = self.catalog.labels.save(
            image_id, self.payload(), tag=self.rng.choice(_TAGS), author=self.name, client_id=self.name
        )
        self.acknowledge(image_id, saved.version, saved.sha256)

    def restore(self) -> None:
        image_id = self.image()
        if history := self.catalog.labels.history(image_id):
            older = self.rng.choice(history)
            restored = self.catalog.labels.restore(image_id, older.version, author=self.name)
            self.acknowledge(image_id, restored.version, restored.sha256)

    def reject(self) -> None:
        image_id = self.image()
        if history := self.catalog.labels.history(image_id):
            self.catalog.labels.set_state(image_id, history[-1].version, "rejected", author=self.name)

    def score(self) -> None:
        values = {self.image(): self.rng.random() for _ in range(5)}
        self.catalog.scores.write("entropy", "ultrasound", "1", values)

    def image(self) -> str:
        return f"i{self.rng.randrange(IMAGES):02}"

    def payload(self) -> bytes:
        """Bytes that tell by themselves whether they are whole: the last 32 are the digest of the others."""
        body = self.rng.randbytes(self.rng.randrange(200, 20_000))
        return body + hashlib.sha256(body).digest()

    def acknowledge(self, image_id: str, version: int, sha256: str) -> None:
        # A write this short to a pipe is one piece or none.
        os.write(self.say, f"{image_id} {version} {sha256}\n".encode())
