"""Stands before every address of the server: nothing is answered to somebody who did not come in."""

from __future__ import annotations

import base64
import binascii
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from breastlabel.errors import BreastLabelError
from breastlabel.label.access import is_local
from breastlabel.label.errors import status_of
from breastlabel.label.login.service import Login
from breastlabel.label.login.users import User

__all__ = ["COOKIE", "LoginGuard", "user_of"]

COOKIE = "breastlabel_session"
_STATE = "breastlabel_user"
#: Answered to anybody: the login itself, what its page looks like, and whether the server lives.
_OPEN = ("/login", "/login/start", "/login/callback", "/logout", "/auth/", "/auth", "/auth/token", "/health")
_OPEN_FILES = ("/assets/breastlabel.css", "/assets/icon.svg")
_SAFE = ("GET", "HEAD", "OPTIONS")


def user_of(scope: Scope) -> User | None:
    """Who makes a request, as the guard found."""
    found: User | None = scope.get("state", {}).get(_STATE)
    return found


class LoginGuard:
    """Lets a request pass that shows a valid cookie, bearer token or (RFC 7617) name and password.

    A browser that asks for a page is led to the login; everything else gets 401. Cookies are sent by a
    browser whatever page asks, so a request that changes something and comes with a cookie must come from a
    page of this server's own (its ``Origin``); programs bring a token instead, which no page can make a
    browser send.
    """

    def __init__(self, app: ASGIApp, *, login: Login) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 401, 403 or a redirection."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        answer = await run_in_threadpool(self._answer, scope)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        """What to say instead of passing the request on; None to pass it on."""
        headers = Headers(scope=scope)
        if not self._is_our_host(headers.get("host", "")):
            return _refusal(
                400, "a host name that this server knows is required; set BREASTLABEL_PUBLIC_URL to it"
            )
        try:
            user, by_cookie = self._user(headers, scope)
        except BreastLabelError as error:
            return _refusal(status_of(error), str(error))
        path = scope["path"]
        if (by_cookie or path in _OPEN) and scope["method"] not in _SAFE and not _same_origin(headers):
            return _refusal(403, "a page of this server is required to change something; another asked")
        if user is not None:
            scope.setdefault("state", {})[_STATE] = user
            return None
        if path in _OPEN or path in _OPEN_FILES:
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            wanted = f"{quote(path)}?{query}" if query else quote(path)
            return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)
        return _refusal(401, "a login is required; ask /auth/token for a token, or open /login in a browser")

    def _user(self, headers: Headers, scope: Scope) -> tuple[User | None, bool]:
        """Who asks, and whether only a cookie says so."""
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._login.by_token(shown.strip()), False
        if kind.lower() == "basic":
            name, password = _name_and_password(shown)
            host = (scope.get("client") or ("",))[0]
            return self._login.by_basic(name, password, host=host) if name else None, False
        token = _cookie(headers)
        return (None if token is None else self._login.by_token(token)), token is not None

    def _is_our_host(self, header: str) -> bool:
        name = header.rpartition(":")[0] if ":" in header and not header.endswith("]") else header
        if self._login.public_url is None and not self._login.hosts:
            # Nothing was said of names; a name is then only what whoever logs in typed.
            return bool(name)
        return is_local(name) or name.lower() in {host.lower() for host in self._login.hosts}


def _refusal(status: int, reason: str) -> JSONResponse:
    # No Basic among the challenges: a browser would ask with a dialog of its own.
    headers = {"WWW-Authenticate": 'Bearer realm="breastlabel"'} if status == 401 else None
    return JSONResponse({"detail": reason}, status, headers)


def _same_origin(headers: Headers) -> bool:
    """Whether the browser says that a page of this server asks; a program that says nothing is no browser."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _name_and_password(shown: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(shown.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
