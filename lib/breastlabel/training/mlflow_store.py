"""Where MLflow keeps its records: a SQLite file of the site, or a tracking server."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
from pathlib import Path
from typing import Any

__all__ = ["is_local", "is_tracking", "open_client", "tracking_uri"]

_FILE = "mlflow.sqlite3"


def is_tracking() -> bool:
    """Whether records are kept: MLflow is installed, and ``BREASTLABEL_TRACKING`` is not ``off``."""
    return os.environ.get("BREASTLABEL_TRACKING") != "off" and importlib.util.find_spec("mlflow") is not None


def is_local() -> bool:
    """Whether records lie in a file of the site, because ``MLFLOW_TRACKING_URI`` names no server."""
    return not os.environ.get("MLFLOW_TRACKING_URI")


def tracking_uri(folder: Path) -> str:
    """``MLFLOW_TRACKING_URI``, else the SQLite file ``mlflow.sqlite3`` in a site's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite(folder / _FILE)


def open_client(folder: Path) -> Any:
    """An ``MlflowClient`` of the store, which is made where there is none yet.

    It takes seconds: MLflow's import about five, its tables about ten the first time. A local store is made
    under another name and renamed, so that a kill leaves none rather than half of one, which MLflow could
    not mend.

    Raises:
        Exception: of MLflow's, SQLAlchemy's and its HTTP client's own kinds.
    """
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # The client alone: the whole of mlflow takes longer still.
    from mlflow.tracking import MlflowClient

    store = folder / _FILE
    if is_local() and not store.is_file():
        _make(store)
    return MlflowClient(tracking_uri=tracking_uri(folder))


def _make(store: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store.parent.mkdir(parents=True, exist_ok=True)
    partial = store.with_name(f".{store.name}.{secrets.token_hex(6)}.part")
    try:
        made = SqlAlchemyStore(_sqlite(partial), (store.parent / "mlflow-artifacts").resolve().as_uri())
        made.engine.dispose()
        # A link, because it replaces nothing: another process may have been faster, and its store in use.
        with contextlib.suppress(FileExistsError):
            os.link(partial, store)
    finally:
        for left in store.parent.glob(f"{partial.name}*"):
            left.unlink(missing_ok=True)


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path.resolve()}"
