"""``GET /api/settings``: what a page has to know of the server, and of who is in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from breastlabel.label.blinding import is_blinded
from breastlabel.label.caller import caller
from breastlabel.label.routes.roles import USER, login_is_on
from breastlabel.web.cases.vocabulary import BIRADS, LESION_TYPES

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Settings that pages and viewers go by; changing them is the site's engineer's."""
    routes = APIRouter(prefix="/api", tags=["Reading room"], dependencies=USER)

    @routes.get("/settings", summary="What pages and viewers go by")
    def settings() -> dict[str, Any]:
        who = caller()
        return {
            "blinded_first_reading": is_blinded(app),
            "login": login_is_on(),
            "user": who.user,
            "roles": sorted(who.roles),
            "birads": list(BIRADS),
            "lesion_types": list(LESION_TYPES),
            "models": app.trainers(),
        }

    return routes
