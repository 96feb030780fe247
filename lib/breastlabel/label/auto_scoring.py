"""Scores for a new champion, without anybody asking."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from breastlabel.catalog import Catalog
from breastlabel.errors import BreastLabelError
from breastlabel.label.errors import RunningError
from breastlabel.label.jobs import BackgroundJobs

__all__ = ["AutoScoring"]

logger = logging.getLogger(__name__)


class AutoScoring:
    """Starts a scoring when a version serves that has not scored the images, once for each version.

    It waits while another scoring runs; where one fails, or a reader ends it, the version is not tried again
    before the server starts anew.

    Args:
        catalog: tells which versions have scored.
        models: the served ones.
        version: the version of a model that serves; None where it has none.
        jobs: of scoring.
        job: a model's name -> ``job.json``.
        every: seconds between two looks at the champions.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        models: Sequence[str],
        version: Callable[[str], str | None],
        jobs: BackgroundJobs,
        job: Callable[[str], Mapping[str, Any]],
        every: float = 20.0,
    ) -> None:
        self._catalog = catalog
        self._models = list(models)
        self._version = version
        self._jobs = jobs
        self._job = job
        self._every = every
        self._tried: set[tuple[str, str]] = set()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look now and then, in a thread that ends with the server."""
        self._thread = threading.Thread(target=self._loop, name="auto-scoring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; a scoring that runs goes on."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Start what is to be scored now."""
        if self._jobs.running() is not None:
            return
        runs = {(run.model, run.model_version) for run in self._catalog.scores.runs()}
        for model in self._models:
            serving = self._version(model)
            if serving is None or (model, serving) in runs | self._tried:
                continue
            self._tried.add((model, serving))
            try:
                self._jobs.start(self._job(model))
            except RunningError:
                # Another server's came first; when it is over, this version is looked at again.
                self._tried.discard((model, serving))
                return
            logger.info("version %s of %s serves now: its scoring begins", serving, model)
            return

    def _loop(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.look()
            except (BreastLabelError, OSError) as error:
                logger.warning("the automatic scoring could not begin: %s", type(error).__name__)
