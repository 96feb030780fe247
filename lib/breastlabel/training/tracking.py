"""Runs in MLflow: a local SQLite file by default, a tracking server by ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breastlabel.training.mlflow_store import is_tracking, open_client

__all__ = ["THREAD", "tracked_run"]

logger = logging.getLogger(__name__)


#: The name of the thread that records.
THREAD = "mlflow-record"


@contextmanager
def tracked_run(
    folder: Path | None, *, experiment: str, name: str, parameters: Mapping[str, object]
) -> Iterator[Callable[[dict[str, float]], None]]:
    """A run in MLflow; yields the callback that logs an epoch.

    Tracking is a record, not a condition: without MLflow, without a folder, or with
    ``BREASTLABEL_TRACKING=off``, nothing is tracked; where the store fails, a warning is logged once and the
    training goes on. Nor does a training wait for it: a thread records, because MLflow needs many seconds to
    start. The record may be complete only after this has returned; the program's end waits for it.

    Args:
        folder: holds ``mlflow.sqlite3`` unless ``MLFLOW_TRACKING_URI`` names a server.
    """
    if folder is None or not is_tracking():
        yield lambda figures: None
        return
    run = _Run(folder)
    run.attempt(lambda: run.begin(experiment, name, parameters))
    outcome = "FAILED"
    try:
        yield lambda figures: run.attempt(lambda: run.log(figures))
        outcome = "FINISHED"
    finally:
        run.attempt(lambda: run.end(outcome))
        run.close()


class _Run:
    """A run in MLflow's store, which may fail at any call; all calls are made by one thread, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Any = None
        self._id = ""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # No daemon: a program that ends at once would leave no record of its end.
        threading.Thread(target=self._make_calls, name=THREAD).start()

    def attempt(self, call: Callable[[], None]) -> None:
        """Let the thread make a call, unless one failed before."""
        self._calls.put(call)

    def close(self) -> None:
        """No call follows."""
        self._calls.put(None)

    def begin(self, experiment: str, name: str, parameters: Mapping[str, object]) -> None:
        client = open_client(self._folder)
        known = client.get_experiment_by_name(experiment)
        if known is None:
            artifacts = (self._folder / "mlflow-artifacts").resolve().as_uri()
            experiment_id = client.create_experiment(experiment, artifact_location=artifacts)
        else:
            experiment_id = known.experiment_id
        self._id = client.create_run(experiment_id, run_name=name).info.run_id
        self._client = client
        for key, value in parameters.items():
            client.log_param(self._id, key, value)

    def log(self, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            if math.isfinite(value):
                self._client.log_metric(self._id, key, value, step=int(figures["epoch"]))

    def end(self, status: str) -> None:
        self._client.set_terminated(self._id, status=status)

    def _make_calls(self) -> None:
        failed = False
        while (call := self._calls.get()) is not None:
            if failed:
                continue
            try:
                call()
            except Exception as error:
                # MLflow raises its own errors, SQLAlchemy's and those of its HTTP client.
                failed = True
                logger.warning(
                    "MLflow failed (%s); the training goes on without a record", type(error).__name__
                )
