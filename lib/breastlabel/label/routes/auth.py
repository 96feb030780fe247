"""``/auth``: what Slicer asks before everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from monailabel.config import settings
from monailabel.endpoints import login

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """The stock login where it is switched on; otherwise the answer that there is none."""
    if settings.MONAI_LABEL_AUTH_ENABLE:
        return login.router  # type: ignore[no-any-return]
    routes = APIRouter(prefix="/auth", tags=["Auth"])

    @routes.get("/", summary="Whether a login is needed")
    def enabled() -> dict[str, Any]:
        return {"enabled": False, "client_id": "", "realm": ""}

    @routes.post("/token", summary="A token; empty, for none is needed")
    def token() -> dict[str, str]:
        return {"access_token": "", "token_type": "bearer"}

    @routes.get("/token/valid", summary="Whether the token is valid")
    def valid() -> dict[str, bool]:
        return {"valid": True}

    return routes
