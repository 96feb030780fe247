"""``/scoring``: scores of images that strategies choose by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from breastlabel.errors import NotFoundError
from breastlabel.label.errors import named
from breastlabel.label.routes.roles import ANNOTATOR, USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """The app has no scoring methods: its strategies choose without a model. Clients may ask all the same."""
    routes = APIRouter(prefix="/scoring", tags=["Scoring"])

    @routes.get("/", summary="The scoring that runs", dependencies=USER)
    def status() -> None:
        raise NotFoundError("no scoring was asked for; this app has no scoring methods")

    @routes.post("/", summary="Run every scoring method", include_in_schema=False, dependencies=ANNOTATOR)
    def run_all() -> dict[str, Any]:
        return {}

    @routes.post("/{method}", summary="Run a scoring method", dependencies=ANNOTATOR)
    def run(method: str) -> None:
        named("scoring method", method, {})

    @routes.delete("/", summary="End the scoring", dependencies=ANNOTATOR)
    def stop() -> None:
        return None

    return routes
