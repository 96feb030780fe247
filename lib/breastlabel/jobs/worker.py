"""What every worker does: take the job, report, end on a signal, and say without names what went wrong."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from breastlabel.errors import BreastLabelError
from breastlabel.jobs.lock import try_lock
from breastlabel.jobs.resources import yield_to_requests
from breastlabel.jobs.status import JobState, Status, read_json

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "TAKEN",
    "CancelledError",
    "described",
    "main_of",
    "nothing_left_to_cancel",
    "run_worker",
]

#: What a worker does: it is given ``job.json``'s content and the status, and returns its last message.
Work = Callable[[dict[str, Any], Status], str]

# Exit codes.
DONE, FAILED, CANCELLED, TAKEN = 0, 1, 3, 4
_TRIES = 5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class CancelledError(BaseException):
    """The work was asked to end.

    No `Exception`, so that code which goes on after any failure of a part does not go on after this.
    """


def run_worker(job: Path, work: Work) -> int:
    """Do the job in a folder, and write down how it ended.

    Args:
        job: folder with ``job.json``.
        work: raises a `BreastLabelError` where the job cannot be done; its message is shown to users.

    Returns:
        The exit code: 0 done, 1 failed, 3 cancelled, 4 nothing was done because another worker is at it.
    """
    with _taken(job) as is_ours:
        if not is_ours:
            print("another worker is doing this job", file=sys.stderr)
            return TAKEN
        status = Status(job)
        try:
            status.update(message="starting")
            message = work(read_json(job / "job.json"), status)
            status.update(state=JobState.DONE, progress=1.0, message=message)
        except CancelledError:
            status.update(state=JobState.CANCELLED, message="cancelled; what was served before still serves")
            return CANCELLED
        except BreastLabelError as error:
            status.update(state=JobState.FAILED, message=str(error))
            return FAILED
        except Exception as error:
            what = described(error)
            print(what, file=sys.stderr)
            status.update(state=JobState.FAILED, message=what)
            return FAILED
        return DONE


def described(error: BaseException) -> str:
    """What went wrong and where, without the error's own text: that may name a file, and a file a patient."""
    frame, line = None, 0
    trace = error.__traceback__
    while trace is not None:
        frame, line, trace = trace.tb_frame, trace.tb_lineno, trace.tb_next
    where = "unknown" if frame is None else f"{frame.f_globals.get('__name__', 'unknown')}:{line}"
    # Of the system's errors the reason is a fixed text, such as "No space left on device".
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    # By name, because torch, which has one of its own, need not be there.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        reason = " (out of memory; smaller images or batches, or another device, need less)"
    return f"{type(error).__name__}{reason} at {where}"


def main_of(work: Work, *, description: str, arguments: list[str] | None = None) -> int:
    """A worker's command line: ``--job FOLDER``; SIGTERM and SIGINT cancel the work.

    The process lets requests go first (`yield_to_requests`); work that uses torch calls `limit_torch`.

    Returns:
        The exit code, as `run_worker` says.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", type=Path, required=True, help="folder with job.json")
    job = parser.parse_args(arguments).job
    for number in _SIGNALS:
        signal.signal(number, _cancel)
    try:
        yield_to_requests()
        return run_worker(job, work)
    except CancelledError:
        return CANCELLED
    except Exception as error:
        # The status itself could not be written.
        print(described(error), file=sys.stderr)
        return FAILED


def nothing_left_to_cancel() -> None:
    """From here on signals cancel nothing: what was asked for is done, and only remains to be told."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _cancel:
            # Not SIG_IGN, which the processes that this one starts would inherit.
            signal.signal(number, _go_on)


def _cancel(signum: int, frame: FrameType | None) -> None:
    # Once is enough: a second signal would interrupt the writing of the first one's outcome.
    nothing_left_to_cancel()
    raise CancelledError


def _go_on(signum: int, frame: FrameType | None) -> None:
    pass


@contextmanager
def _taken(job: Path) -> Iterator[bool]:
    """Whether this process alone has the job.

    More than once is tried: a server may be looking just then whether the lock is held.
    """
    for _ in range(_TRIES):
        with try_lock(job / "lock") as is_ours:
            if is_ours:
                yield True
                return
        time.sleep(0.05)
    yield False
