"""Which image an annotator is offered next: one strategy a way of choosing, each gives the image on lease."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from breastlabel.activelearning import ACQUISITIONS, DEFAULT_STRATEGY
from breastlabel.catalog import (
    ByScore,
    Catalog,
    First,
    Lease,
    Order,
    RandomOrder,
    Revisit,
    ScoreRun,
)
from breastlabel.catalog.scores import REVISIT
from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Modality
from breastlabel.label.caller import caller
from breastlabel.label.options import Options
from breastlabel.training.presets import MODALITIES

__all__ = [
    "DEFAULT_STRATEGY",
    "LEASE_SECONDS",
    "LEASE_VARIABLE",
    "LeasingStrategy",
    "ScoredStrategy",
    "create_strategies",
    "lease_seconds",
]

#: Long enough to read an image and draw; then it may be offered to another.
LEASE_SECONDS = 900.0
#: Environment variable with another number of seconds; ``--conf lease SECONDS`` counts more.
LEASE_VARIABLE = "BREASTLABEL_LEASE_SECONDS"


class LeasingStrategy(Strategy):
    """Gives a waiting image to one client for a while, so that two annotators never read the same one.

    Args:
        name: as clients ask for it.
        description: one line for people.
        order: which image comes first.
        models: the served ones; where a request names one, only images of its modality are offered.
        seconds: how long the image is kept for the client; saving its label ends that early.
    """

    def __init__(
        self,
        name: str,
        description: str,
        order: Order,
        *,
        models: Sequence[str],
        seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__(description)
        self.name = name
        self._order = order
        self._models = list(models)
        self._seconds = seconds

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """``id``, ``strategy`` and ``lease``; None where no image waits, or others hold all that do.

        Raises:
            UnknownNameError: the request names a model that is not served.
        """
        lease = self._acquire(request, datastore.catalog, self._order)
        return None if lease is None else self._answer(lease)

    def orders(self, catalog: Catalog, modality: Modality | None = None) -> list[Order]:
        """The order in which images are offered; several where each modality goes by scores of its own.

        Args:
            modality: only images of it; None offers all.
        """
        return [replace(self._order, modality=modality)]

    def _acquire(self, request: Mapping[str, Any], catalog: Catalog, order: Order) -> Lease | None:
        who, model = caller(), self._asked(request)
        return catalog.leases.acquire(
            who.client_id(request),
            order if model is None else replace(order, modality=MODALITIES[model]),
            strategy=self.name,
            seconds=self._seconds,
            author=who.author(request),
        )

    def _asked(self, request: Mapping[str, Any]) -> str | None:
        """The model that a request names."""
        model = Options(request).text("model")
        if model is not None and model not in self._models:
            raise UnknownNameError("model", model, self._models)
        return model

    def _answer(self, lease: Lease) -> dict[str, Any]:
        return {
            "id": lease.image_id,
            "strategy": self.name,
            "lease": {
                "client_id": lease.client_id,
                "expires_at": lease.expires_at.isoformat(),
                "seconds": self._seconds,
            },
        }


class ScoredStrategy(LeasingStrategy):
    """Gives the image that a scoring method values most.

    The scores are those of the model version that serves; until it has scored the images, those of the
    version that scored last. The answer says which.

    Args:
        name: also the scoring method's.
        order: where nothing is scored.
        by: the order that goes by the scores of a run.
        models: the served ones; the first that has scores is asked, unless a request names another.
        version: the version of a model that serves; None where it has none.
    """

    def __init__(
        self,
        name: str,
        description: str,
        order: Order,
        *,
        by: Callable[[ScoreRun], Order],
        models: Sequence[str],
        version: Callable[[str], str | None],
        seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__(name, description, order, models=models, seconds=seconds)
        self._by = by
        self._version = version

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """As `LeasingStrategy`, and ``scored``, ``score`` and ``scored_by``.

        Raises:
            UnknownNameError: the request names a model that is not served.
        """
        run = self._run(request, datastore.catalog)
        order = self._order if run is None else self._by(run)
        lease = self._acquire(request, datastore.catalog, order)
        if lease is None:
            return None
        score = None if run is None else _score(datastore.catalog, lease.image_id, run)
        return {
            **self._answer(lease),
            "scored": score is not None,
            "score": score,
            "scored_by": None if run is None else self._scored_by(run),
        }

    def orders(self, catalog: Catalog, modality: Modality | None = None) -> list[Order]:
        """As `LeasingStrategy.orders`: by the scores that there are of each modality's models."""
        found: list[Order] = []
        for kind in Modality if modality is None else (modality,):
            models = [model for model in self._models if MODALITIES[model] is kind]
            run = self._run_of(models, catalog)
            if run is not None:
                found.append(replace(self._by(run), modality=kind))
        return found or super().orders(catalog, modality)

    def _run(self, request: Mapping[str, Any], catalog: Catalog) -> ScoreRun | None:
        asked = self._asked(request)
        return self._run_of([asked] if asked else self._models, catalog)

    def _run_of(self, models: Sequence[str], catalog: Catalog) -> ScoreRun | None:
        runs = [run for run in catalog.scores.runs() if run.method == self.name]
        for model in models:
            own = [run for run in runs if run.model == model]
            if own:
                serving = self._version(model)
                # Listed from the oldest to the newest.
                return next((run for run in own if run.model_version == serving), own[-1])
        return None

    def _scored_by(self, run: ScoreRun) -> dict[str, Any]:
        return {
            "model": run.model,
            "model_version": run.model_version,
            "serving": run.model_version == self._version(run.model),
        }


def lease_seconds(conf: Mapping[str, str] | None = None) -> float:
    """How long an offered image is kept for its client: as configured, else `LEASE_SECONDS`.

    Raises:
        BadRequestError: the setting is no number of seconds from 1 to those of a week.
    """
    set_to = (conf or {}).get("lease") or os.environ.get(LEASE_VARIABLE)
    return Options({"lease": set_to}).number("lease", low=1, high=7 * 24 * 3600) or LEASE_SECONDS


def create_strategies(
    *, models: Sequence[str], version: Callable[[str], str | None], seconds: float = LEASE_SECONDS
) -> dict[str, Strategy]:
    """Every strategy by its name, `DEFAULT_STRATEGY` first.

    Args:
        models: see `ScoredStrategy`.
        version: see `ScoredStrategy`.
        seconds: how long an image is kept for the client that was given it.
    """

    def scored(name: str, description: str, order: Order, by: Callable[[ScoreRun], Order]) -> Strategy:
        return ScoredStrategy(
            name, description, order, by=by, models=models, version=version, seconds=seconds
        )

    strategies: dict[str, Strategy] = {
        "first": LeasingStrategy(
            "first", "The waiting image whose id comes first", First(), models=models, seconds=seconds
        ),
        "random": LeasingStrategy(
            "random", "Any waiting image, with equal chances", RandomOrder(), models=models, seconds=seconds
        ),
        REVISIT: scored(
            REVISIT,
            "The labelled image that the served model disagrees with most; else the one labelled longest ago",
            Revisit(),
            lambda run: Revisit(run.model, run.model_version),
        ),
    }
    for name in ACQUISITIONS:
        description = f"The waiting image with the highest {name} score; any where nothing is scored"
        strategies.setdefault(name, scored(name, description, RandomOrder(), _by_score))
    return {DEFAULT_STRATEGY: strategies.pop(DEFAULT_STRATEGY), **strategies}


def _by_score(run: ScoreRun) -> Order:
    return ByScore(run.method, run.model, run.model_version)


def _score(catalog: Catalog, image_id: str, run: ScoreRun) -> float | None:
    for score in catalog.scores.of(image_id):
        if (score.method, score.model, score.model_version) == (run.method, run.model, run.model_version):
            return float(score.value)
    return None
