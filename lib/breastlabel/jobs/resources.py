"""What a background job leaves to those who wait for an answer: a processor core, and room on the GPU."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from breastlabel.errors import BreastLabelError

__all__ = ["ResourceError", "available_cores", "gpu_share", "limit_torch", "yield_to_requests"]

#: As ``nice`` counts it: 0 is usual, 19 the last to be served.
_NICENESS = 10
_GPU_SHARE = 0.6
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class ResourceError(BreastLabelError, ValueError):
    """A limit that was set is none."""


def available_cores() -> int:
    """Processor cores that this process may use: of the machine, its affinity, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        # "max 100000", or the microseconds of processor time in a period of so many microseconds.
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, math.floor(int(quota) / int(period))))
    return cores


def yield_to_requests() -> int:
    """Let requests go first: a lower priority, and one core fewer than there are, for this whole process.

    Call it before torch, numpy and OpenCV compute anything: their thread pools read these limits when they
    start. A number of threads that was set for this process (``OMP_NUM_THREADS``) is kept.

    Returns:
        The number of threads to compute with, at least 1.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    threads = max(1, available_cores() - 1)
    with contextlib.suppress(KeyError, ValueError):
        threads = max(1, int(os.environ["OMP_NUM_THREADS"]))
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    return threads


def gpu_share(default: float = _GPU_SHARE) -> float:
    """The share of a GPU's memory that background work may take: ``BREASTLABEL_GPU_SHARE``, else the default.

    Raises:
        ResourceError: it is no number above 0 and up to 1.
    """
    text = os.environ.get("BREASTLABEL_GPU_SHARE", "").strip() or str(default)
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ResourceError(
            f"BREASTLABEL_GPU_SHARE must be a number above 0 and up to 1, such as 0.6; got '{text}'"
        )
    return share


def limit_torch(*, device: str | None = None, share: float = _GPU_SHARE) -> None:
    """Keep torch in this process to the threads of `yield_to_requests` and to its share of the GPU's memory.

    What is beyond the share raises torch's out-of-memory error in this process, and the server beside it
    keeps the rest. Kernels run on the default stream, which has the lowest priority that CUDA knows; between
    processes the GPU itself divides the time.

    Args:
        device: ``cpu`` does not wake the GPU; None or ``cuda`` limits every GPU there is.
        share: of a GPU's memory, unless ``BREASTLABEL_GPU_SHARE`` says another.

    Raises:
        ResourceError: the share is none.
    """
    import torch

    with contextlib.suppress(KeyError, ValueError):
        torch.set_num_threads(max(1, int(os.environ["OMP_NUM_THREADS"])))
    share = gpu_share(share)
    if device == "cpu" or not torch.cuda.is_available():
        return
    for index in range(torch.cuda.device_count()):
        torch.cuda.set_per_process_memory_fraction(share, index)
