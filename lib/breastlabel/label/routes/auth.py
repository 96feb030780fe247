"""``/auth``: what Slicer asks before everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request

from breastlabel.label.login.guard import user_of
from breastlabel.label.login.roles import platform_roles

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Whether a login is needed, a token for a name and a password, and whose token one is."""
    routes = APIRouter(prefix="/auth", tags=["Auth"])
    login = app.login

    @routes.get("/", summary="Whether a login is needed")
    def enabled() -> dict[str, Any]:
        if login is None:
            return {"enabled": False, "client_id": "", "realm": ""}
        return {"enabled": True, "client_id": login.client_id, "realm": login.realm}

    @routes.post("/token", summary="A token for a name and a password; empty where none is needed")
    def token(
        request: Request, username: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
    ) -> dict[str, Any]:
        if login is None:
            return {"access_token": "", "token_type": "bearer"}
        user = login.by_password(username, password, host=request.client.host if request.client else "")
        if user is None:
            raise HTTPException(401, "name and password of a user are required; these are wrong; try again")
        app.catalog.audit.append("login", author=user.name, details={"by": "token"})
        return {
            "access_token": login.sessions.token(user),
            "token_type": "bearer",
            "expires_in": login.sessions.seconds,
        }

    @routes.get("/token/valid", summary="Whose token it is")
    def valid(request: Request) -> dict[str, Any]:
        if login is None:
            return {"valid": True}
        user = user_of(request.scope)
        if user is None:
            raise HTTPException(401, "a valid token is required; this is none; ask /auth/token for one")
        name = user.name
        return {"username": name, "name": name, "email": None, "roles": platform_roles(user.roles)}

    return routes
