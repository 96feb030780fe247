"""The served checkpoint changes by training and by the command line, under the eyes of those who use it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from breastlabel.catalog import Catalog
from breastlabel.training import ModelRegistry
from breastlabel.training.promotion import MARGIN
from breastlabel.training.run import train

from .serving import Server, running_server, wait_until


@pytest.fixture(scope="module")
def site(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose champion was hardly trained, so that a real training can better it."""
    folder = tmp_path_factory.mktemp("site")
    studies = Path(shutil.copytree(pristine, folder / "studies"))
    halve(studies)
    registry = ModelRegistry(studies)
    weak = train("ultrasound", studies, output=folder / "weak", preset="tiny", epochs=1, device="cpu")
    registry.promote("ultrasound", registry.add("ultrasound", weak))
    with running_server(studies, folder) as running:
        yield running


def halve(studies: Path) -> None:
    """Every other patient is for validation: a gate needs several to compare on."""
    with Catalog.open(studies) as catalog:
        images = catalog.images()
        patients = sorted({r.patient_key for r in images})
        validation = set(patients[::2])
        catalog.update_images(
            {r.image_id: {"split": "val" if r.patient_key in validation else "train"} for r in images}
        )


def models(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``breastlabel models ...`` in a process of its own, as a user at a terminal starts it."""
    return subprocess.run(
        [sys.executable, "-m", "breastlabel.cli", "models", *arguments, "--studies", str(server.studies)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def champion(server: Server) -> str:
    version = ModelRegistry(server.studies).champion_version("ultrasound")
    assert version is not None
    return version


def served(server: Server) -> tuple[str, tuple[float, ...]]:
    """Which version an inference says that it used, and what that version makes of one image."""
    image = min(p.stem for p in server.studies.glob("*.png"))
    answer = server.request("POST", "/infer/ultrasound", params={"image": image, "output": "json"})
    assert answer.status_code == 200, answer.text
    params = answer.json().get("params", answer.json())
    return params["checkpoint_version"], tuple(params["class_probabilities"].values())


def trained(server: Server, **options: Any) -> dict[str, Any]:
    """A training on the server, to its end."""
    server.client("reader").train_start("ultrasound", {"preset": "tiny", "author": "hanna", **options})
    return dict(wait_until(lambda: _over(server), 120))


def decided(server: Server) -> dict[str, Any]:
    """The gate's last decision, with its figures."""
    decisions = server.studies / ".breastlabel" / "checkpoints" / "ultrasound" / "decisions.jsonl"
    return dict(json.loads(decisions.read_text().splitlines()[-1]))


def _over(server: Server) -> dict[str, Any] | None:
    status = dict(server.client().train_status())
    return status if status["status"] != "RUNNING" else None


def acts(server: Server) -> list[tuple[str, str | None, str | None]]:
    """What the audit says of the model: action, version, author; oldest first."""
    with Catalog.open(server.studies) as catalog:
        entries = catalog.audit.entries(limit=1000)
    wanted = ("model.train", "model.promote", "model.refuse", "model.rollback")
    return [(e.action, e.details.get("version"), e.author) for e in entries[::-1] if e.action in wanted]


@pytest.mark.slow
def test_a_better_challenger_serves_at_once_and_a_worse_one_never(site: Server) -> None:
    weak = champion(site)
    assert served(site)[0] == weak
    # Of its own weights, with thresholds of its own: those of the first champion hide all that it outlines.
    better = trained(site, **{"max_epochs": 40, "from": "scratch"})
    assert better["status"] == "DONE", better
    assert better["promoted"], better["message"]
    assert decided(site)["difference"][1] > 0, "the whole interval"
    assert served(site)[0] == better["version"] == champion(site) != weak

    worse = trained(site, **{"max_epochs": 1, "from": "scratch"})
    assert worse["status"] == "DONE", worse
    assert not worse["promoted"]
    assert "does not serve" in worse["message"]
    assert decided(site)["difference"][1] < -MARGIN
    assert served(site)[0] == better["version"]
    assert worse["version"] in ModelRegistry(site.studies).versions("ultrasound")

    stats = next(iter(site.client().info()["train_stats"].values()))
    assert stats["version"] == worse["version"]
    assert acts(site) == [
        ("model.train", None, "hanna"),
        ("model.promote", better["version"], "hanna"),
        ("model.train", None, "hanna"),
        ("model.refuse", worse["version"], "hanna"),
    ]


@pytest.mark.slow
def test_the_command_line_chooses_what_a_running_server_serves(site: Server) -> None:
    first = champion(site)
    rows = json.loads(models(site, "list", "--json").stdout)
    other = next(r["version"] for r in rows if not r["champion"] and not r["shipped"])
    began = len(acts(site))
    assert served(site)[0] == first

    promoted = models(site, "promote", "ultrasound", other, "--force")
    assert promoted.returncode == 0, promoted.stderr
    assert served(site)[0] == other
    listed = models(site, "list").stdout.splitlines()
    starred = [line.split()[:2] for line in listed if "*" in line]
    assert [version for model, version in starred if model == "ultrasound"] == [other]
    assert json.loads(models(site, "show", "ultrasound", "--json").stdout)["version"] == other

    taken_back = models(site, "rollback", "ultrasound")
    assert taken_back.returncode == 0, taken_back.stderr
    assert first in taken_back.stdout
    assert served(site)[0] == first

    # Nothing that does not exist, and nothing that is not whole, takes its place.
    assert models(site, "promote", "ultrasound", "20200101-000000-00000000").returncode == 1
    assert served(site)[0] == first
    assert [act[:2] for act in acts(site)[began:]] == [("model.promote", other), ("model.rollback", first)]


@pytest.mark.slow
def test_answers_are_of_one_version_each_while_champions_change(site: Server) -> None:
    registry = ModelRegistry(site.studies)
    one = champion(site)
    other = next(v for v in registry.versions("ultrasound") if v != one)
    truth = {}
    for version in (other, one):
        registry.promote("ultrasound", version)
        name, truth[version] = served(site)
        assert name == version
    assert truth[one] != truth[other], "else a mixture could not be told"
    answers: list[tuple[str, tuple[float, ...]]] = []
    over = threading.Event()
    failures: list[BaseException] = []

    def hammer() -> None:
        try:
            while not over.is_set():
                answers.append(served(site))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(20):
            registry.promote("ultrasound", (other, one)[turn % 2])
            seen = len(answers)
            # The next answers are given by then, so each turn is met.
            wait_until(lambda seen=seen: len(answers) > seen + 2 or failures, 60, every=0.02)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert {version for version, _ in answers} == {one, other}
    for version, probabilities in answers:
        assert probabilities == pytest.approx(truth[version], abs=1e-6)
    assert served(site)[0] == one


@pytest.mark.slow
def test_a_training_goes_on_after_server_and_worker_were_killed(pristine: Path, tmp_path: Path) -> None:
    studies = Path(shutil.copytree(pristine, tmp_path / "studies"))
    before = ModelRegistry(studies).champion_version("ultrasound")
    with running_server(studies, tmp_path) as server:
        server.client().train_start("ultrasound", {"preset": "tiny", "max_epochs": 60, "promote": "always"})
        wait_until(lambda: (server.client().train_status().get("epoch") or 0) >= 2, 90, every=0.05)
        (job,) = studies.glob(".breastlabel/jobs/*/job.json")
        worker = int(json.loads((job.parent / "process.json").read_text())["pid"])
        # The server first: it must not see the worker die, as it would not when the machine goes down.
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(30)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(worker), 30)
    left = json.loads((job.parent / "status.json").read_text())
    assert left["state"] == "running"
    assert 2 <= left["epoch"] < 60
    assert ModelRegistry(studies).champion_version("ultrasound") == before

    with running_server(studies, tmp_path) as server:
        began = time.monotonic()
        status = wait_until(lambda: _over(server), 120)
        print(f"resumed at epoch {left['epoch']}, over after {time.monotonic() - began:.0f} s")
        assert status["status"] == "DONE", status
        assert status["attempts"] == 2
        assert status["epoch"] == 60
        assert served(server)[0] == status["version"] != before
        history = json.loads((job.parent / "checkpoint" / "history.json").read_text())
        assert [h["epoch"] for h in history] == list(range(1, 61)), "it went on, and did not begin anew"
