"""A server at work still answers, and a training that dies leaves the champion serving."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .serving import Server, running_server, wait_until


def test_info_answers_at_once_while_inferences_queue(server: Server) -> None:
    def infer() -> None:
        answer = server.request(
            "POST",
            "/infer/ultrasound",
            params={"image": "kind-grey"},
            data={"params": json.dumps({"uncertainty_passes": 200})},
        )
        assert answer.status_code == 200

    with ThreadPoolExecutor(12) as pool:
        began = time.monotonic()
        inferences = [pool.submit(infer) for _ in range(12)]
        waits: list[float] = []
        while not all(inference.done() for inference in inferences):
            asked = time.monotonic()
            assert server.request("GET", "/info/").status_code == 200
            waits.append(time.monotonic() - asked)
            time.sleep(0.02)
        took = time.monotonic() - began
        for inference in inferences:
            inference.result()
    # Behind the queue an answer would take about all of this time. The median, because this machine may
    # be busy with other things than this server.
    assert len(waits) >= 4
    assert sorted(waits)[len(waits) // 2] < min(0.5, took / 3)


@pytest.fixture(scope="module")
def other(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of its own, to train on and to end."""
    folder = tmp_path_factory.mktemp("other")
    studies = Path(shutil.copytree(pristine, folder / "studies"))
    with running_server(studies, folder) as running:
        yield running


def _long_training(server: Server) -> int:
    """Begin a training that would take minutes; its process id."""
    server.client().train_start("ultrasound", {"preset": "tiny", "max_epochs": 5000, "promote": "always"})
    wait_until(lambda: (server.client().train_status().get("epoch") or 0) >= 1, 90)
    job = max(server.studies.glob(".breastlabel/jobs/*"))
    return int(json.loads((job / "process.json").read_text())["pid"])


@pytest.mark.slow
def test_a_training_killed_midway_leaves_the_champion_serving(other: Server) -> None:
    image = next(p.stem for p in sorted(other.studies.glob("*.png")))
    _, before = other.client().infer("ultrasound", image, {})
    worker = _long_training(other)
    os.kill(worker, signal.SIGKILL)
    status = wait_until(lambda: _over(other), 30)
    assert status["status"] == "ERROR"
    assert "interrupted" in status["message"]
    _, after = other.client().infer("ultrasound", image, {})
    assert after["checkpoint_version"] == before["checkpoint_version"]
    assert after["class_probabilities"] == before["class_probabilities"]
    assert other.client().info()["train_stats"]["ultrasound"]["state"] == "interrupted"

    # Cancelling is an end of the same kind, and the next training can begin after it.
    worker = _long_training(other)
    stopped = other.client().train_stop()
    assert stopped["status"] == "STOPPED"
    assert stopped["details"], "Slicer reads the last of them"
    assert not _alive(worker)
    assert other.client().train_stop() is None
    _, after = other.client().infer("ultrasound", image, {})
    assert after["checkpoint_version"] == before["checkpoint_version"]


def _over(server: Server) -> dict[str, Any] | None:
    status: dict[str, Any] = server.client().train_status()
    return status if status["status"] != "RUNNING" else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
