"""``/login``, ``/logout``: how a browser gets its session."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from breastlabel.errors import BreastLabelError
from breastlabel.label.errors import status_of
from breastlabel.label.login import Login
from breastlabel.label.login.guard import COOKIE, user_of
from breastlabel.label.login.users import User
from breastlabel.web.pages.rendering import page

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router", "safe_page"]

_STATE = "breastlabel_login"
_STATE_SECONDS = 600
_LONGEST_PAGE = 2000


def router(app: BreastLabelApp) -> APIRouter:
    """The login page; without a login nothing of it exists."""
    routes = APIRouter(include_in_schema=False)
    login = app.login
    if login is None:
        return routes

    def enter(request: Request, user: User, wanted: str, *, by: str) -> Response:
        app.catalog.audit.append("login", author=user.name, details={"by": by})
        answer = RedirectResponse(safe_page(wanted), 303)
        answer.set_cookie(
            COOKIE,
            login.sessions.token(user),
            max_age=login.sessions.seconds,
            httponly=True,
            samesite="lax",
            secure=_is_secure(request, login),
        )
        answer.delete_cookie(_STATE)
        return answer

    def form(wanted: str, *, reason: str = "", status: int = 200) -> Response:
        answer = page(
            "login", title="Log in", by_provider=login.provider is not None, wanted=wanted, reason=reason
        )
        answer.status_code = status
        return answer

    @routes.get("/login")
    def show(request: Request, next: str = "/") -> Response:
        if user_of(request.scope) is not None:
            return RedirectResponse(safe_page(next), 303)
        return form(safe_page(next))

    @routes.post("/login")
    def check(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        host = request.client.host if request.client else ""
        try:
            user = login.by_password(name, password, host=host)
        except BreastLabelError as error:
            return form(safe_page(next), reason=str(error), status=status_of(error))
        if user is None:
            return form(safe_page(next), reason="Name or password is wrong.", status=401)
        return enter(request, user, next, by="page")

    @routes.get("/login/start")
    def start(request: Request, next: str = "/") -> Response:
        if login.provider is None:
            return RedirectResponse(f"/login?next={quote(safe_page(next), safe='')}", 303)
        address, state = login.provider.begin(safe_page(next), _callback(request, login))
        answer = RedirectResponse(address, 303)
        # Ties what comes back to this browser: else somebody could log a reader in as somebody else.
        answer.set_cookie(
            _STATE,
            state,
            max_age=_STATE_SECONDS,
            httponly=True,
            samesite="lax",
            secure=_is_secure(request, login),
        )
        return answer

    @routes.get("/login/callback")
    def finish(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
        if login.provider is None or error or not code:
            return form("/", reason="The identity provider refused the login; try again.", status=401)
        if not hmac.compare_digest(request.cookies.get(_STATE, "").encode(), state.encode()) or not state:
            return form("/", reason="This login was not begun here, or took too long; try again.", status=401)
        try:
            found = login.provider.finish(state, code, _callback(request, login))
        except BreastLabelError as away:
            return form("/", reason=str(away), status=502)
        if found is None:
            return form("/", reason="The identity provider's answer cannot be used; try again.", status=401)
        return enter(request, found[0], found[1], by="provider")

    @routes.post("/logout")
    def leave() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    return routes


def safe_page(wanted: str) -> str:
    """The page of this server that was wanted; the worklist for an address of anywhere else."""
    parts = urlsplit(wanted)
    inside = (
        len(wanted) <= _LONGEST_PAGE
        and wanted.startswith("/")
        and not wanted.startswith(("//", "/\\"))
        and not parts.netloc
    )
    return wanted if inside and wanted.isprintable() and "\\" not in wanted else "/worklist"


def _callback(request: Request, login: Login) -> str:
    base = login.public_url or str(request.base_url).rstrip("/")
    return f"{base}/login/callback"


def _is_secure(request: Request, login: Login) -> bool:
    return (login.public_url or request.url.scheme).startswith("https")
