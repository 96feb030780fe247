"""Inference over many images in the background; one bad image does not end it."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from breastlabel.errors import BreastLabelError
from breastlabel.label.errors import BusyError, RunningError

__all__ = ["BatchInference"]

#: Runs one image and stores its mask.
InferOne = Callable[[str], Mapping[str, Any]]


class BatchInference:
    """One batch at a time, in a thread of the server: the loaded network is used, and nothing is started.

    The masks are stored with the tag ``original``, where the viewers look for a proposal.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: list[dict[str, Any]] = []
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()

    def start(self, model: str, images: Sequence[str], infer: InferOne) -> dict[str, Any]:
        """Begin a batch.

        Raises:
            RunningError: one runs already.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise RunningError("one batch inference at a time; one is running; wait for it or stop it")
            task = {
                "id": str(uuid.uuid4()),
                "status": "RUNNING",
                "request": {"model": model, "images": len(images)},
                "start_ts": _now(),
                "progress": 0.0,
                "done": 0,
                "total": len(images),
                "failed": {},
                "details": deque(["starting"], maxlen=20),
            }
            self._tasks.append(task)
            self._cancel = threading.Event()
            self._thread = threading.Thread(
                target=self._run,
                args=(task, list(images), infer, self._cancel),
                name="batch-infer",
                daemon=True,
            )
            self._thread.start()
            return _shown(task)

    def running(self) -> dict[str, Any] | None:
        """The task that runs, None where none does."""
        task = self._tasks[-1] if self._tasks else None
        return _shown(task) if task and task["status"] == "RUNNING" else None

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks since the server started, oldest first."""
        return [_shown(task) for task in self._tasks]

    def stop(self, timeout: float = 60.0) -> dict[str, Any] | None:
        """End the batch after the image that is at work; what was stored stays."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return None
        self._cancel.set()
        thread.join(timeout)
        return _shown(self._tasks[-1])

    def _run(
        self, task: dict[str, Any], images: Sequence[str], infer: InferOne, cancel: threading.Event
    ) -> None:
        try:
            for image in images:
                if not self._run_one(task, image, infer, cancel):
                    break
            task["status"] = "STOPPED" if cancel.is_set() and task["done"] < task["total"] else "DONE"
        except Exception as error:
            # What is wrong with every image, such as a missing checkpoint, ends the batch.
            task["status"] = "ERROR"
            task["details"].append(str(error))
        task["end_ts"] = _now()

    def _run_one(self, task: dict[str, Any], image: str, infer: InferOne, cancel: threading.Event) -> bool:
        while not cancel.is_set():
            try:
                infer(image)
            except BusyError:
                cancel.wait(1.0)
                continue
            except (BreastLabelError, OSError) as error:
                task["failed"][image] = str(error)
            task["done"] += 1
            task["progress"] = task["done"] / task["total"]
            task["details"].append(f"{task['done']} of {task['total']}, {len(task['failed'])} failed")
            return True
        return False


def _shown(task: Mapping[str, Any]) -> dict[str, Any]:
    return {**task, "failed": dict(task["failed"]), "details": list(task["details"])}


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")
