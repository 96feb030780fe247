"""Jobs with workers that are a few lines of Python in the real worker's place."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from breastlabel.errors import NotFoundError
from breastlabel.label import job as job_module
from breastlabel.label import jobs as module
from breastlabel.label.errors import ConflictError, RunningError
from breastlabel.label.job import Job
from breastlabel.label.jobs import BackgroundJobs

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

    monkeypatch.setattr(job_module.subprocess, "Popen", popen)
    monkeypatch.setattr(module, "_POLL", 0.02)
    monkeypatch.setattr(module, "_GRACE", 0.5)
    yield lambda program: chosen.__setitem__(0, program)
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def jobs(tmp_path: Path) -> BackgroundJobs:
    return BackgroundJobs(tmp_path / "jobs")


def until(what: Callable[[], Any], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.02)
    return answer


def begun(jobs: BackgroundJobs) -> bool:
    return ((jobs.running() or {}).get("epoch") or 0) > 0


def test_a_training_runs_to_its_end(jobs: BackgroundJobs, worker: Any) -> None:
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
    assert json.loads((jobs._folder / task["id"] / "job.json").read_text())["studies"] == "/somewhere"


def test_one_at_a_time_and_the_rest_in_order(jobs: BackgroundJobs, worker: Any) -> None:
    worker(SLOW)
    first = jobs.start({"model": "ultrasound"})
    with pytest.raises(RunningError, match="one training at a time"):
        jobs.start({"model": "ultrasound"})
    worker(QUICK)
    second = jobs.start({"model": "ultrasound"}, enqueue=True)
    assert second["state"] == "queued"
    assert second["status"] == "RUNNING", "Slicer takes anything else for the end"
    until(lambda: begun(jobs))
    os.kill(json.loads((jobs._folder / first["id"] / "process.json").read_text())["pid"], signal.SIGKILL)
    assert jobs.wait(second["id"], timeout=15)["status"] == "DONE"
    assert [t["status"] for t in jobs.tasks()] == ["ERROR", "DONE"]


def test_a_killed_worker_is_told_from_a_finished_one(jobs: BackgroundJobs, worker: Any) -> None:
    worker(SLOW)
    task = jobs.start({"model": "ultrasound"})
    until(lambda: begun(jobs))
    os.kill(json.loads((jobs._folder / task["id"] / "process.json").read_text())["pid"], signal.SIGKILL)
    ended = jobs.wait(task["id"], timeout=15)
    assert ended["status"] == "ERROR"
    assert "interrupted" in ended["message"]
    assert "signal 9" in ended["message"]
    assert "SIGKILL" in ended["message"]
    assert jobs.stats("ultrasound")["state"] == ended["state"] == "interrupted"


@pytest.mark.parametrize("program", [SLOW, STUBBORN], ids=["willing", "stubborn"])
def test_stopping_ends_the_process_and_those_that_wait(
    jobs: BackgroundJobs, worker: Any, program: str
) -> None:
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
    assert "pid" not in json.loads((jobs._folder / queued["id"] / "process.json").read_text())
    assert jobs.stop() is None


def test_the_next_server_takes_up_what_runs(jobs: BackgroundJobs, worker: Any) -> None:
    worker(SLOW)
    task = jobs.start({"model": "ultrasound"})
    until(lambda: begun(jobs))
    next_server = BackgroundJobs(jobs._folder)
    # The first server is gone, and watches nothing any more.
    jobs._folder = jobs._folder / "gone"
    next_server.watch()
    running = next_server.running()
    assert running is not None
    assert running["id"] == task["id"]
    assert (next_server.stop() or {})["status"] == "STOPPED"


def folder_of(root: Path, name: str, **files: Any) -> Path:
    """A job's folder as a server that is gone left it."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"model": "ultrasound"}))
    for file, content in files.items():
        (folder / f"{file}.json").write_text(json.dumps(content))
    return folder


GONE = {"pid": 2**22 + 1, "created": 1.0, "attempts": 1, "automatic": 0}


def test_the_next_server_lets_go_on_once_what_died_unwatched(tmp_path: Path, worker: Any) -> None:
    folder_of(tmp_path, "1-died", status={"state": "running", "epoch": 1}, process=GONE)
    # Its number belongs to another program now, which is left alone.
    folder_of(tmp_path, "2-other-program", status={"state": "running"}, process={**GONE, "pid": 1})
    folder_of(tmp_path, "3-died-again", status={"state": "running"}, process={**GONE, "automatic": 1})
    folder_of(tmp_path, "4-waits", status={"state": "queued"})
    jobs = BackgroundJobs(tmp_path)
    jobs.watch()
    first = jobs.running()
    assert first is not None
    assert (first["id"], first["state"]) == ("1-died", "queued")
    assert "while no server ran" in first["message"]
    assert jobs.wait("4-waits", timeout=15)["status"] == "DONE"
    ended = jobs.tasks()
    assert [t["state"] for t in ended] == ["done", "done", "interrupted", "done"]
    assert [t["attempts"] for t in ended] == [2, 2, 1, 1]
    assert "attempt 2" in ended[0]["details"]
    assert "resume" in ended[2]["message"]
    assert psutil.pid_exists(1)


def test_one_that_dies_again_is_not_started_a_third_time(tmp_path: Path, worker: Any) -> None:
    worker(SLOW)
    folder = folder_of(tmp_path, "1-died", status={"state": "running"}, process=GONE)
    jobs = BackgroundJobs(tmp_path)
    jobs.watch()
    until(lambda: begun(jobs))
    # This server and its worker go down together; the next one finds both gone.
    jobs._folder = tmp_path / "gone"
    pid = json.loads((folder / "process.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    next_server = BackgroundJobs(tmp_path)
    next_server.watch()
    task = next_server.wait("1-died", timeout=15)
    assert (task["state"], task["status"], task["attempts"]) == ("interrupted", "ERROR", 2)


def test_what_was_interrupted_can_be_resumed_by_hand(jobs: BackgroundJobs, worker: Any) -> None:
    worker(SLOW)
    task = jobs.start({"model": "ultrasound"})
    until(lambda: begun(jobs))
    with pytest.raises(ConflictError, match="must have ended early"):
        jobs.resume(task["id"])
    os.kill(json.loads((jobs._folder / task["id"] / "process.json").read_text())["pid"], signal.SIGKILL)
    jobs.wait(task["id"], timeout=15)
    worker(QUICK)
    assert jobs.resume(task["id"])["status"] == "RUNNING"
    resumed = jobs.wait(task["id"], timeout=15)
    assert (resumed["state"], resumed["attempts"]) == ("done", 2)
    assert len(jobs.tasks()) == 1
    with pytest.raises(ConflictError, match="is done"):
        jobs.resume(task["id"])
    with pytest.raises(NotFoundError, match="'nothing' is none"):
        jobs.resume("nothing")


def test_a_cancelled_one_goes_on_too_but_not_beside_another(jobs: BackgroundJobs, worker: Any) -> None:
    worker(SLOW)
    first = jobs.start({"model": "ultrasound"})
    assert (jobs.stop() or {})["state"] == "cancelled"
    second = jobs.start({"model": "ultrasound"})
    with pytest.raises(RunningError):
        jobs.resume(first["id"])
    worker(QUICK)
    assert jobs.resume(first["id"], enqueue=True)["state"] == "queued"
    os.kill(json.loads((jobs._folder / second["id"] / "process.json").read_text())["pid"], signal.SIGKILL)
    assert jobs.wait(first["id"], timeout=15)["state"] == "done"


def test_two_servers_on_a_folder_start_one_worker(tmp_path: Path, worker: Any) -> None:
    worker(SLOW)
    for name in ("1", "2", "3"):
        folder_of(tmp_path, name, status={"state": "queued"})
    servers = [BackgroundJobs(tmp_path) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(BackgroundJobs._start_next, servers))
        list(pool.map(BackgroundJobs._start_next, servers))
    assert [p.parent.name for p in tmp_path.glob("*/process.json")] == ["1"]
    assert json.loads((tmp_path / "1" / "process.json").read_text())["attempts"] == 1
    with pytest.raises(RunningError):
        servers[0].start({})
    assert all((s.running() or {})["id"] == "1" for s in servers)
    servers[1].stop()
    assert [t["state"] for t in servers[0].tasks()] == ["cancelled"] * 3


def test_a_worker_elsewhere_holds_its_job(tmp_path: Path, worker: Any) -> None:
    """Its number means nothing here; its lock on the shared folder does."""
    folder = folder_of(tmp_path, "1", status={"state": "running"}, process={**GONE, "host": "elsewhere"})
    jobs = BackgroundJobs(tmp_path)
    with open(folder / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert (jobs.running() or {})["state"] == "running"
    assert jobs.running() is None
    assert jobs.tasks()[0]["state"] == "interrupted"


def test_a_worker_that_cannot_even_start_has_failed(jobs: BackgroundJobs, worker: Any) -> None:
    worker("import sys; sys.exit('no such module')")
    task = jobs.wait(jobs.start({"model": "ultrasound"})["id"], timeout=15)
    assert task["state"] == "failed"
    assert "code 1" in task["message"]
    assert jobs.log(task["id"]) == ["no such module"]


def test_want_of_memory_is_told(jobs: BackgroundJobs, worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([7, 8, 8, 8])
    monkeypatch.setattr(job_module, "_memory_kills", lambda: next(kills))
    worker("import os; os.kill(os.getpid(), 9)")
    task = jobs.wait(jobs.start({"model": "ultrasound"})["id"], timeout=15)
    assert task["state"] == "interrupted"
    assert "signal 9 (SIGKILL), most likely for want of memory" in task["message"]


def test_the_newest_jobs_are_kept_and_those_that_are_not_over(tmp_path: Path, worker: Any) -> None:
    for i in range(300):
        folder_of(tmp_path, f"a-{i:03}", status={"state": "done"})
    folder_of(tmp_path, "0-oldest-of-all", status={"state": "queued"})
    jobs = BackgroundJobs(tmp_path)
    jobs.watch()
    assert [t["id"] for t in jobs.tasks()] == ["0-oldest-of-all", *(f"a-{i}" for i in range(280, 300))]
    assert sum(p.is_dir() for p in tmp_path.iterdir()) == 21


def test_jobs_of_another_kind_run_another_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def popen(command: list[str], **kwargs: Any) -> None:
        # The last test's watcher may still start what waits there.
        if str(tmp_path) in command[-1]:
            commands.append(command)
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(job_module.subprocess, "Popen", popen)
    jobs = BackgroundJobs(tmp_path, module="breastlabel.activelearning.worker", noun="scoring")
    task = jobs.start({"model": "ultrasound"})
    assert commands[0][1:3] == ["-m", "breastlabel.activelearning.worker"]
    assert task["state"] == "failed"
    assert "could not be started (Cannot allocate memory)" in task["message"]


def test_a_job_is_readable_while_its_files_are_not_there_yet(tmp_path: Path) -> None:
    job = Job(tmp_path / "20261120-101500-1234", "breastlabel.training.worker")
    assert job.state()["state"] == "queued"
    assert job.request() == {}
    assert not job.alive()
    assert not job.is_over()


def test_slicers_bar_moves_within_an_epoch_and_ends_at_its_end(tmp_path: Path) -> None:
    """It shows epoch / total_epochs, and takes total_time for the end."""
    running = {"state": "running", "epoch": 1, "epochs": 4, "progress": 0.375}
    folder = folder_of(tmp_path, "20261120-101500-000000-abcd", status=running)
    jobs = BackgroundJobs(tmp_path)
    stats = jobs.stats("ultrasound")
    assert (stats["epoch"], stats["total_epochs"]) == (1.5, 4)
    assert "total_time" not in stats
    # It ended early, because it learned nothing more.
    (folder / "status.json").write_text(json.dumps({**running, "state": "done", "epoch": 3, "progress": 1.0}))
    stats = jobs.stats("ultrasound")
    assert stats["epoch"] == 3
    assert stats["total_time"] > 0
