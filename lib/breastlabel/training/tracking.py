"""Runs in MLflow: a local SQLite file by default, a tracking server by ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from breastlabel.training.trainer import EpochCallback

__all__ = ["tracked_run"]

logger = logging.getLogger(__name__)


@contextmanager
def tracked_run(
    folder: Path | None, *, experiment: str, name: str, parameters: Mapping[str, object]
) -> Iterator[EpochCallback]:
    """A run in MLflow; yields the callback that logs an epoch.

    Tracking is a record, not a condition: without MLflow, without a folder, or with
    ``BREASTLABEL_TRACKING=off``, nothing is tracked.

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
    folder.mkdir(parents=True, exist_ok=True)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.sqlite3'}"
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        artifacts = (folder / "mlflow-artifacts").resolve().as_uri()
        experiment_id = client.create_experiment(experiment, artifact_location=artifacts)
    else:
        experiment_id = known.experiment_id
    run = client.create_run(experiment_id, run_name=name).info.run_id
    for key, value in parameters.items():
        client.log_param(run, key, value)

    def log(figures: dict[str, float]) -> None:
        for key, value in figures.items():
            if math.isfinite(value):
                client.log_metric(run, key, value, step=int(figures["epoch"]))

    try:
        yield log
    except BaseException:
        client.set_terminated(run, status="FAILED")
        raise
    client.set_terminated(run)
