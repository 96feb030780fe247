from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from breastlabel.jobs import resources
from breastlabel.jobs.resources import (
    ResourceError,
    available_cores,
    gpu_share,
    limit_torch,
    yield_to_requests,
)


def test_a_containers_quota_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(resources, "_QUOTA", quota)
    assert available_cores() == 16
    for text, cores in {"max 100000": 16, "250000 100000": 2, "50000 100000": 1, "odd": 16}.items():
        quota.write_text(text)
        assert available_cores() == cores


@pytest.mark.parametrize(("cores", "threads"), [(8, 7), (2, 1), (1, 1)])
def test_one_core_is_left_to_requests(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    priorities: list[int] = []
    monkeypatch.setattr(os, "setpriority", lambda which, who, value: priorities.append(value))
    monkeypatch.setattr(resources, "available_cores", lambda: cores)
    for name in resources._THREAD_VARIABLES:
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    assert yield_to_requests() == threads
    assert os.environ["OMP_NUM_THREADS"] == str(threads)
    assert priorities == [max(10, os.getpriority(os.PRIO_PROCESS, 0))]


def test_threads_that_were_chosen_are_kept() -> None:
    program = (
        "import os\n"
        "from breastlabel.jobs.resources import limit_torch, yield_to_requests\n"
        "threads = yield_to_requests()\n"
        "import torch\n"
        "limit_torch(device='cpu')\n"
        "print(threads, torch.get_num_threads(), os.getpriority(os.PRIO_PROCESS, 0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    asked, used, niceness = map(int, done.stdout.split())
    assert (asked, used) == (3, 3)
    assert niceness >= 10


def test_the_share_of_the_gpu_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BREASTLABEL_GPU_SHARE", raising=False)
    assert gpu_share() == 0.6
    monkeypatch.setenv("BREASTLABEL_GPU_SHARE", "0.25")
    assert gpu_share() == 0.25


@pytest.mark.parametrize("text", ["0", "60%", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BREASTLABEL_GPU_SHARE", text)
    with pytest.raises(ResourceError, match="above 0 and up to 1"):
        limit_torch()


def test_every_gpu_is_limited_and_none_is_woken_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    limited: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, index: limited.append((share, index))
    )
    limit_torch(device="cpu")
    assert limited == []
    limit_torch()
    assert limited == [(0.6, 0), (0.6, 1)]
