"""``POST /activelearning/{strategy}``: the next image to label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body

from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """``{}`` where no image waits, which Slicer tells its user in its own words."""
    routes = APIRouter(prefix="/activelearning", tags=["ActiveLearning"], dependencies=USER)

    @routes.post("/{strategy}", summary="The next image to label")
    def sample(strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        return dict(plain(app.next_sample({**(params or {}), "strategy": strategy})))

    return routes
