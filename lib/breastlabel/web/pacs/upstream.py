"""Requests to a PACS on behalf of viewers: many at once, none of which holds a thread."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

import httpx
from fastapi import HTTPException

from breastlabel.errors import StudiesError
from breastlabel.web.pacs.addresses import Resource
from breastlabel.web.pacs.settings import PacsSettings
from breastlabel.web.pacs.transport import MIRROR_HEADER

__all__ = ["Upstream"]

#: A viewer that shows four mammograms asks for many frames at once; a PACS serves others besides.
_CONNECTIONS = 32
_CONNECT_SECONDS = 10.0
#: A PACS may write an object to its archive before it answers.
_STORE_SECONDS = 300.0


class Upstream:
    """One PACS, and never another host."""

    def __init__(self, settings: PacsSettings, *, name: str) -> None:
        """Args: `name` is this server's, for ``MIRROR_HEADER``."""
        self._settings, self._name = settings, name
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self,
        method: str,
        resource: Resource,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """The answer, whose body is still to be read and which must be closed.

        Raises:
            HTTPException: 503 where the PACS is away, 504 where it does not answer in time.
        """
        settings = self._settings
        prefix = {
            "search": settings.search_prefix,
            "retrieve": settings.retrieve_prefix,
            "store": settings.store_prefix,
        }[resource.kind]
        root = f"{settings.url}/{prefix}" if prefix else settings.url
        url = f"{root}/{resource.path}" + (f"?{query}" if query else "")
        client = self._of_this_loop()
        request = client.build_request(
            method, url, headers={**headers, **self._own_headers()}, content=body, timeout=self._timeout(body)
        )
        try:
            return await client.send(request, stream=True, auth=self._auth())
        except httpx.TimeoutException:
            raise HTTPException(504, "the PACS does not answer in time; try again") from None
        except httpx.HTTPError as error:
            raise HTTPException(
                503,
                f"the PACS cannot be reached ({type(error).__name__}); see that it runs",
                {"Retry-After": "5"},
            ) from None

    def close(self) -> None:
        """Let go of the connections."""
        client, loop = self._client, self._loop
        self._client = None
        if client is not None and loop is not None and loop.is_running():
            with contextlib.suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def _own_headers(self) -> dict[str, str]:
        own = {
            "user-agent": "breastlabel",
            # What is packed cannot be rewritten as it passes.
            "accept-encoding": "identity",
            MIRROR_HEADER: self._name,
        }
        token = self._settings.bearer()
        return own | ({"authorization": f"Bearer {token}"} if token is not None else {})

    def _auth(self) -> httpx.Auth | None:
        settings = self._settings
        if settings.username is None:
            return None
        return httpx.BasicAuth(settings.username.encode(), (settings.password or "").encode())

    def _timeout(self, body: AsyncIterator[bytes] | None) -> httpx.Timeout:
        wait = self._settings.timeout
        read = wait if body is None else max(wait, _STORE_SECONDS)
        return httpx.Timeout(wait, connect=min(_CONNECT_SECONDS, wait), read=read)

    def _of_this_loop(self) -> httpx.AsyncClient:
        """Connections belong to an event loop; the server has one, and tests may have several."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx.AsyncClient(
                verify=tls_context(self._settings),
                follow_redirects=False,
                trust_env=False,
                limits=httpx.Limits(max_connections=_CONNECTIONS),
            )
            self._loop = loop
        return self._client


def tls_context(settings: PacsSettings) -> ssl.SSLContext:
    """Whom to trust, and how to say who asks.

    Raises:
        StudiesError: a certificate cannot be used.
    """
    try:
        context = ssl.create_default_context(
            cafile=None if settings.authority is None else str(settings.authority)
        )
        if settings.client_cert is not None:
            context.load_cert_chain(settings.client_cert, settings.client_key)
    except (ssl.SSLError, OSError) as error:
        raise StudiesError(
            "certificates in PEM files are required for the PACS; they cannot be used "
            f"({type(error).__name__}); check BREASTLABEL_PACS_CA, _CLIENT_CERT and _CLIENT_KEY"
        ) from None
    return context
