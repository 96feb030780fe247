"""Scoring methods: MONAI Label's face of the scoring worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from breastlabel.activelearning.method_scores import BATCH, METHODS, REVISIT
from breastlabel.errors import UnknownNameError
from breastlabel.label.jobs import BackgroundJobs
from breastlabel.label.options import Options

__all__ = ["PoolScoring", "create_scoring_methods", "scoring_job"]

_PASSES, _MAX_PASSES = 10, 200


class PoolScoring(ScoringMethod):
    """One way to score images; all of them together cost one look at each image.

    Args:
        name: also the strategy's that goes by the scores.
        models: the served ones; the first is asked unless a request names another.
        studies: the studies folder.
        jobs: run one scoring at a time, in a process of its own.
    """

    def __init__(self, name: str, *, models: Sequence[str], studies: Path, jobs: BackgroundJobs) -> None:
        super().__init__(_DESCRIPTIONS.get(name, f"Scores for the strategy {name}"))
        self.name = name
        self._models = list(models)
        self._studies = studies
        self._jobs = jobs

    def job(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """``job.json`` for a client's request; see `scoring_job`."""
        return scoring_job(options, models=self._models, studies=self._studies, methods=[self.name])

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score and wait for the end, which is how the stock platform calls a scoring method."""
        task = self._jobs.start(self.job(request), enqueue=True)
        return self._jobs.wait(task["id"])


def create_scoring_methods(
    *, models: Sequence[str], studies: Path, jobs: BackgroundJobs
) -> dict[str, PoolScoring]:
    """Each method by its name; the arguments are those of `PoolScoring`."""
    return {name: PoolScoring(name, models=models, studies=studies, jobs=jobs) for name in METHODS}


def scoring_job(
    options: Mapping[str, Any] | None,
    *,
    models: Sequence[str],
    studies: Path,
    methods: Sequence[str] | None = None,
) -> dict[str, Any]:
    """``job.json`` for the worker.

    Args:
        options: of a client: ``model``, ``passes``, ``batch``, ``limit``, ``device``.
        models: the served ones.
        studies: the studies folder.
        methods: all, if None.

    Raises:
        UnknownNameError: a model that is not served, or another device.
        BadRequestError: an option of the wrong type.
    """
    asked = Options(options)
    model = asked.text("model", models[0])
    if model not in models:
        raise UnknownNameError("model", str(model), models)
    job: dict[str, Any] = {
        "model": model,
        "studies": str(studies),
        "passes": asked.integer("passes", _PASSES, low=1, high=_MAX_PASSES),
        "batch": asked.integer("batch", BATCH, low=1, high=100_000),
    }
    if methods is not None:
        job["methods"] = list(methods)
    if limit := asked.integer("limit", 0, low=0, high=2**31 - 1):
        job["limit"] = limit
    if (device := asked.device()) is not None:
        job["device"] = device
    return job


_DESCRIPTIONS = {
    "entropy": "How unsure the model is of the class: entropy of the mean of the passes",
    "margin": "How close the two likeliest classes are",
    "least-confidence": "How unlikely the likeliest class is",
    "bald": "How much the passes contradict each other on the class: what a label would teach",
    "variation-ratio": "How many passes vote for another class than most",
    "mask-disagreement": "How much the passes' outlines differ",
    "expected-edit": "How much of the proposed outline a reader is expected to change",
    "core-set": "Images that are farthest from all that is labelled",
    "k-means": "Images spread over the pool, dense regions more often",
    "badge": "Images that would change the model most, and in different ways",
    "clasp": "Class by class, unsure images, with less and less chance from round to round",
    REVISIT: "Labelled images by how far the model's outline and class are from the label",
}
