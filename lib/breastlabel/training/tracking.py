"""Runs in MLflow: a local SQLite file by default, a tracking server by ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breastlabel.training.trainer import EpochCallback

__all__ = ["tracked_run"]

logger = logging.getLogger(__name__)


@contextmanager
def tracked_run(
    folder: Path | None, *, experiment: str, name: str, parameters: Mapping[str, object]
) -> Iterator[EpochCallback]:
    """A run in MLflow; yields the callback that logs an epoch.

    Tracking is a record, not a condition: without MLflow, without a folder, or with
    ``BREASTLABEL_TRACKING=off``, nothing is tracked; where the store fails, a warning is logged once and the
    training goes on.

    Args:
        folder: holds ``mlflow.sqlite3`` unless ``MLFLOW_TRACKING_URI`` names a server.
    """
    try:
        if folder is None or os.environ.get("BREASTLABEL_TRACKING") == "off":
            raise ImportError
        # The client alone: the whole of mlflow takes seconds to import.
        from mlflow.tracking import MlflowClient
    except ImportError:
        yield lambda figures: None
        return
    run = _Run(MlflowClient, folder)
    run.attempt(lambda: run.begin(experiment, name, parameters))
    try:
        yield lambda figures: run.attempt(lambda: run.log(figures))
    except BaseException:
        run.attempt(lambda: run.end("FAILED"))
        raise
    run.attempt(lambda: run.end("FINISHED"))


class _Run:
    """A run in MLflow's store, which may fail at any call."""

    def __init__(self, make_client: Callable[..., Any], folder: Path) -> None:
        self._make_client = make_client
        self._folder = folder
        self._client: Any = None
        self._id = ""
        self._failed = False

    def attempt(self, call: Callable[[], None]) -> None:
        """Make a call, unless one failed before."""
        if self._failed:
            return
        try:
            call()
        except Exception as error:
            # MLflow raises its own errors, SQLAlchemy's and those of its HTTP client.
            self._failed = True
            logger.warning("MLflow failed (%s); the training goes on without a record", type(error).__name__)

    def begin(self, experiment: str, name: str, parameters: Mapping[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        local = f"sqlite:///{self._folder.resolve() / 'mlflow.sqlite3'}"
        for noisy in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        client = self._make_client(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or local)
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
