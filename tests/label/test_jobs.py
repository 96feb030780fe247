"""Jobs with workers that are a few lines of Python in the real worker's place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from breastlabel.label import jobs as module
from breastlabel.label.errors import RunningError
from breastlabel.label.jobs import Job, TrainingJobs

_START = """
import json, os, signal, sys, time
job = sys.argv[-1]
def say(**values):
    with open(job + '/status.json.partial', 'w') as file:
        json.dump(values, file)
    os.replace(job + '/status.json.partial', job + '/status.json')
"""
QUICK = f"""{_START}
say(state='done', epoch=2, epochs=2, progress=1.0, message='good', figures={{'val_dice': 0.75}})
"""
_TRAIN = """
say(state='running', epoch=1, epochs=9, progress=0.1, message='training')
time.sleep(60)
"""
SLOW = _START + _TRAIN
STUBBORN = f"{_START}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{_TRAIN}"


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Chooses what the next workers do; ends them all afterwards."""
    real, started, chosen = subprocess.Popen, [], [QUICK]

    def popen(command: list[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        assert command[1:3] == ["-m", "breastlabel.training.worker"]
        assert kwargs["start_new_session"]
        process = real([sys.executable, "-c", chosen[0], *command[3:]], **kwargs)
        started.append(process)
        return process

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    monkeypatch.setattr(module, "_POLL", 0.02)
    monkeypatch.setattr(module, "_GRACE", 0.5)
    yield lambda program: chosen.__setitem__(0, program)
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def jobs(tmp_path: Path) -> TrainingJobs:
    return TrainingJobs(tmp_path / "jobs")


def until(what: Callable[[], Any], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.02)
    return answer


def begun(jobs: TrainingJobs) -> bool:
    return ((jobs.running() or {}).get("epoch") or 0) > 0


def test_a_training_runs_to_its_end(jobs: TrainingJobs, worker: Any) -> None:
    assert jobs.latest() is None
    assert jobs.stats("ultrasound") == {}
    task = jobs.start({"model": "ultrasound", "studies": "/somewhere", "epochs": 2})
    assert task["status"] == "RUNNING"
    assert task["request"] == {"model": "ultrasound", "epochs": 2}, "paths are nobody's business"
    done = jobs.wait(task["id"], timeout=15)
    assert done["status"] == "DONE"
    assert done["end_ts"]
    assert done["details"][-1] == "good"
    stats = jobs.stats("ultrasound")
    assert stats["best_metric"] == 0.75
    assert stats["total_time"] >= 0
    assert stats["epoch"] == stats["total_epochs"] == 2
    assert jobs.running() is None
    assert json.loads((next((jobs._folder).iterdir()) / "job.json").read_text())["studies"] == "/somewhere"


def test_one_at_a_time_and_the_rest_in_order(jobs: TrainingJobs, worker: Any) -> None:
    worker(SLOW)
    first = jobs.start({"model": "ultrasound"})
    with pytest.raises(RunningError, match="one training at a time"):
        jobs.start({"model": "ultrasound"})
    worker(QUICK)
    second = jobs.start({"model": "ultrasound"}, enqueue=True)
    assert second["state"] == "queued"
    assert second["status"] == "RUNNING", "Slicer takes anything else for the end"
    until(lambda: begun(jobs))
    (folder,) = (p for p in jobs._folder.iterdir() if p.name == first["id"])
    os.kill(json.loads((folder / "process.json").read_text())["pid"], signal.SIGKILL)
    assert jobs.wait(second["id"], timeout=15)["status"] == "DONE"
    assert [t["status"] for t in jobs.tasks()] == ["ERROR", "DONE"]


def test_a_killed_worker_is_told_from_a_finished_one(jobs: TrainingJobs, worker: Any) -> None:
    worker(SLOW)
    task = jobs.start({"model": "ultrasound"})
    until(lambda: begun(jobs))
    os.kill(json.loads((jobs._folder / task["id"] / "process.json").read_text())["pid"], signal.SIGKILL)
    ended = jobs.wait(task["id"], timeout=15)
    assert ended["status"] == "ERROR"
    assert "interrupted" in ended["message"]
    assert "signal 9" in ended["message"]
    assert jobs.stats("ultrasound")["state"] == "failed"


@pytest.mark.parametrize("program", [SLOW, STUBBORN], ids=["willing", "stubborn"])
def test_stopping_ends_the_process_and_those_that_wait(jobs: TrainingJobs, worker: Any, program: str) -> None:
    worker(program)
    task = jobs.start({"model": "ultrasound"})
    queued = jobs.start({"model": "ultrasound"}, enqueue=True)
    until(lambda: begun(jobs))
    pid = json.loads((jobs._folder / task["id"] / "process.json").read_text())["pid"]
    stopped = jobs.stop()
    assert stopped is not None
    assert stopped["status"] == "STOPPED"
    assert stopped["details"]
    assert not psutil.pid_exists(pid)
    assert jobs.wait(queued["id"], timeout=5)["status"] == "STOPPED"
    assert not (jobs._folder / queued["id"] / "process.json").exists()
    assert jobs.stop() is None


def test_the_next_server_takes_up_what_runs(jobs: TrainingJobs, worker: Any) -> None:
    worker(SLOW)
    task = jobs.start({"model": "ultrasound"})
    until(lambda: begun(jobs))
    next_server = TrainingJobs(jobs._folder)
    # The first server is gone, and watches nothing any more.
    jobs._jobs.clear()
    next_server.watch()
    running = next_server.running()
    assert running is not None
    assert running["id"] == task["id"]
    assert (next_server.stop() or {})["status"] == "STOPPED"


def test_the_next_server_reports_what_died_and_starts_what_waits(tmp_path: Path, worker: Any) -> None:
    for name, files in {
        "1-died": {"status.json": {"state": "running"}, "process.json": {"pid": 2**22 + 1, "created": 1.0}},
        "2-other-program": {"status.json": {"state": "running"}, "process.json": {"pid": 1, "created": 1.0}},
        "3-waits": {"status.json": {"state": "queued"}},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, content in {"job.json": {"model": "ultrasound"}, **files}.items():
            (folder / file).write_text(json.dumps(content))
    jobs = TrainingJobs(tmp_path)
    jobs.watch()
    assert jobs.wait("3-waits", timeout=15)["status"] == "DONE"
    assert [t["status"] for t in jobs.tasks()] == ["ERROR", "ERROR", "DONE"]
    assert psutil.pid_exists(1)


def test_a_job_is_readable_while_its_files_are_not_there_yet(tmp_path: Path) -> None:
    job = Job(tmp_path / "20261120-101500-1234")
    assert job.state()["state"] == "queued"
    assert job.request() == {}
    assert not job.alive()
