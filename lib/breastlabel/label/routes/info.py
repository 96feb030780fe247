"""``GET /info/``: what the app offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Models, trainers, strategies, figures of the newest training, and how many images are labelled."""
    routes = APIRouter(prefix="/info", tags=["App"], dependencies=USER)

    @routes.get("/", summary="What the app offers")
    def app_info() -> dict[str, Any]:
        return dict(plain(app.info()))

    return routes
