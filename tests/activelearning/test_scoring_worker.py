"""Scoring in a process of its own, with the champion that ships."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.activelearning.scored import write_images

from breastlabel.activelearning.worker import run_job
from breastlabel.catalog import Catalog

N = 40


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job on a few images."""
    write_images(tmp_path / "studies", N)
    folder = tmp_path / "job"
    folder.mkdir()
    asked = {
        "model": "ultrasound",
        "studies": str(tmp_path / "studies"),
        "methods": ["bald", "core-set"],
        "passes": 2,
        "device": "cpu",
    }
    (folder / "job.json").write_text(json.dumps(asked))
    return folder


def status(job: Path) -> dict[str, Any]:
    path = job / "status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def start(job: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "breastlabel.activelearning.worker", "--job", str(job)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_a_cancelled_worker_keeps_what_it_did_and_another_goes_on(job: Path) -> None:
    worker = start(job)
    try:
        end = time.monotonic() + 300
        while (status(job).get("figures") or {}).get("done", 0) < 8:
            assert worker.poll() is None, status(job)
            assert time.monotonic() < end
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 3
    finally:
        worker.kill()
    assert status(job)["state"] == "cancelled"
    studies = job.parent / "studies"
    assert list((studies / ".breastlabel" / "scoring").rglob("chunk-*.npz"))
    again = start(job)
    assert again.wait(300) == 0
    done = status(job)
    assert done["state"] == "done"
    assert done["figures"]["images"] == N
    assert 0 < done["figures"]["read"] < N
    with Catalog.open(studies) as catalog:
        assert {(run.method, run.n) for run in catalog.scores.runs()} == {("bald", N), ("core-set", N)}


def test_a_job_scores_with_the_champion_and_says_how_fast(job: Path) -> None:
    asked = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(asked | {"limit": 8, "methods": ["entropy"]}))
    assert run_job(job) == 0
    done = status(job)
    assert done["state"] == "done"
    assert done["progress"] == 1
    assert done["version"]
    assert done["methods"] == ["entropy"]
    assert done["figures"]["read"] == 8
    assert done["figures"]["images_per_second"] > 0
    assert done["message"].startswith("8 images are scored by 1 methods with version ")


def test_a_wrong_job_fails_with_its_reason(job: Path) -> None:
    asked = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(asked | {"methods": ["luck"]}))
    assert run_job(job) == 1
    assert "scoring method must be one of" in status(job)["message"]
