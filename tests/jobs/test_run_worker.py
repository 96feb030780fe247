"""A worker's life, with work of a few lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from breastlabel.errors import StudiesError
from breastlabel.jobs import CancelledError, Status, read_json, run_worker

WORK = """
import sys, time
from breastlabel.jobs import main_of, nothing_left_to_cancel

def work(asked, status):
    if asked.get("finished"):
        nothing_left_to_cancel()
    status.update(message="begun", progress=0.5)
    try:
        time.sleep(asked["seconds"])
    except Exception:
        pass
    return "slept"

sys.exit(main_of(work, description="Sleeps."))
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"seconds": 60, "n": 3}))
    return folder


@pytest.fixture
def start(job: Path) -> Any:
    """A function that starts a worker process that sleeps for the job's seconds."""
    running: list[subprocess.Popen[bytes]] = []

    def make() -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen([sys.executable, "-c", WORK, "--job", str(job)]))
        return running[-1]

    yield make
    for process in running:
        process.kill()
        process.wait(10)


def until(state: str, job: Path, *, message: str | None = None) -> dict[str, Any]:
    end = time.monotonic() + 20
    while True:
        status = read_json(job / "status.json")
        if status.get("state") == state and message in (None, status.get("message")):
            return status
        assert time.monotonic() < end, f"never {state}: {status}"
        time.sleep(0.02)


def test_work_is_told_its_job_and_reports(job: Path) -> None:
    def work(asked: dict[str, Any], status: Status) -> str:
        assert asked["n"] == 3
        assert status.folder == job
        status.update(epoch=1)
        assert read_json(job / "status.json")["state"] == "running"
        return "three were counted"

    assert run_worker(job, work) == 0
    status = read_json(job / "status.json")
    assert status["state"] == "done"
    assert status["progress"] == 1.0
    assert status["epoch"] == 1
    assert status["message"] == "three were counted"


def test_progress_is_written_a_few_times_a_second_only(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, writes = Status(job), []
    real = Status.update
    monkeypatch.setattr(Status, "update", lambda self, **v: (writes.append(v), real(self, **v)))
    for i in range(1000):
        status.report("reading", i / 1000)
    assert 1 <= len(writes) < 100
    status.report("training", 1.5)
    assert read_json(job / "status.json") == {**status.values, "message": "training", "progress": 1.0}


def test_what_cannot_be_done_is_said(job: Path) -> None:
    def work(asked: dict[str, Any], status: Status) -> str:
        raise StudiesError("labels are required; got none")

    assert run_worker(job, work) == 1
    assert read_json(job / "status.json")["message"] == "labels are required; got none"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("mueller-hanna-1961.png is odd"), "ValueError at "),
        (
            OSError(28, "No space left on device", "mueller-hanna.png"),
            "OSError (No space left on device) at ",
        ),
        (MemoryError("mueller"), "MemoryError (out of memory"),
    ],
)
def test_an_unexpected_error_is_told_without_names(
    job: Path, capfd: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def work(asked: dict[str, Any], status: Status) -> str:
        raise error

    assert run_worker(job, work) == 1
    status, log = read_json(job / "status.json"), "".join(capfd.readouterr())
    assert status["state"] == "failed"
    assert status["message"].startswith(said)
    assert __name__ in status["message"]
    assert said in log
    assert "mueller" not in log + status["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_even_where_every_error_is_passed_over(
    job: Path, start: Any, number: signal.Signals
) -> None:
    worker = start()
    until("running", job, message="begun")
    worker.send_signal(number)
    assert worker.wait(10) == 3
    assert until("cancelled", job)["progress"] == 0.5
    assert not issubclass(CancelledError, Exception)


def test_a_signal_cancels_nothing_once_the_work_is_finished(job: Path, start: Any) -> None:
    (job / "job.json").write_text(json.dumps({"seconds": 1, "finished": True}))
    worker = start()
    until("running", job, message="begun")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert until("done", job)["message"] == "slept"


def test_two_workers_never_do_one_job(job: Path, start: Any) -> None:
    first = start()
    until("running", job, message="begun")
    second = start()
    assert second.wait(10) == 4
    status = until("running", job, message="begun")
    assert status["pid"] == first.pid
    # Killed, the first one lets go of it.
    first.kill()
    first.wait(10)
    (job / "job.json").write_text(json.dumps({"seconds": 0}))
    assert start().wait(10) == 0


def test_workers_import_no_torch_before_they_report(job: Path) -> None:
    program = "import sys, breastlabel.jobs; assert not {'torch', 'numpy', 'monailabel'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
