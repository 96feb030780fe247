"""Who may talk to a server that has no login: programs on the same machine."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["ALLOW_REMOTE", "LocalOnly", "OwnPages", "is_local", "remote_allowed"]

#: Set to 1 where the network itself is the protection, as behind a proxy with a login of its own.
ALLOW_REMOTE = "BREASTLABEL_ALLOW_REMOTE"


def remote_allowed() -> bool:
    """Whether the site's engineer has opened the server to other machines."""
    return os.environ.get(ALLOW_REMOTE, "").strip().lower() in ("1", "true", "yes", "on")


def is_local(host: str) -> bool:
    """Whether a host (an address, or a name as in a ``Host`` header without port) is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class LocalOnly:
    """Refuses requests from other machines.

    MONAI Label binds to every network interface by default, and without a login whoever reaches the port
    may read images and change labels. The ``Host`` header is looked at too: a web page elsewhere can make
    a browser on this machine send requests here under a name of its own (DNS rebinding). So is ``Origin``,
    which a browser sends with what a page asks for: without it, any page that a reader has open could start a
    training or save a label here. Slicer and other programs send none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        reason = self._reason(scope) if scope["type"] == "http" else None
        if reason is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": reason}, 403)(scope, receive, send)

    @classmethod
    def _reason(cls, scope: Scope) -> str | None:
        """Why a request is refused; None where it is not."""
        if not cls._is_local(scope):
            return (
                "this server has no login and answers its own machine only; reach it through "
                f"an SSH tunnel or a proxy with a login, or set {ALLOW_REMOTE}=1 in a trusted network"
            )
        if not all(_is_local_origin(origin) for origin in Headers(scope=scope).getlist("origin")):
            return (
                "this server has no login and answers pages of its own machine only; a page from elsewhere "
                "asked; use a viewer or a page served from this machine"
            )
        return None

    @staticmethod
    def _is_local(scope: Scope) -> bool:
        client = scope.get("client")
        # A Unix socket has no address; its file permissions are the protection.
        if client and not is_local(client[0]):
            return False
        host = Headers(scope=scope).get("host", "localhost")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return is_local(name)


class OwnPages:
    """Refuses what a page of another site asks a browser to change, on a server that has no login.

    Such a page can send a form to any server that the browser reaches, without asking whether it may. Pages
    of this server, of this machine and of the named origins pass, and so do programs, which name no origin.

    Args:
        origins: of other viewers, as ``https://ohif.hospital.example``.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            headers = Headers(scope=scope)
            if not all(self._may_ask(origin, headers) for origin in headers.getlist("origin")):
                reason = (
                    "a page of this server is required to change something; one from elsewhere asked; "
                    "name its origin in MONAI_LABEL_CORS_ORIGINS if it is a viewer of yours"
                )
                await JSONResponse({"detail": reason}, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may_ask(self, origin: str, headers: Headers) -> bool:
        if origin.lower() in self._origins or _is_local_origin(origin):
            return True
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        except ValueError:
            return False


def _is_local_origin(origin: str) -> bool:
    """Whether an ``Origin`` header names this machine; ``null`` (a file, a sandboxed frame) does not."""
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host is not None and is_local(host)
