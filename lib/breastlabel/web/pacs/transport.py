"""How requests to a PACS travel: with credentials, time limits, repetitions, and a bound to the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from breastlabel.web.pacs.errors import PacsObjectError
from breastlabel.web.pacs.settings import PacsSettings

__all__ = ["MIRROR_HEADER", "pacs_session"]

#: Names the server that asks, so that it recognises a request of its own that comes back to it.
MIRROR_HEADER = "X-Breastlabel-Mirror"
#: Seconds to wait for a connection: a PACS that is down is to be noticed soon.
_CONNECT_SECONDS = 10.0


def pacs_session(settings: PacsSettings, *, name: str) -> requests.Session:
    """A session that reaches this PACS and no other host.

    Args:
        name: of this server, for `MIRROR_HEADER`.
    """
    session = requests.Session()
    # Neither a .netrc nor a proxy of the environment may decide who gets the credentials.
    session.trust_env = False
    # A redirect could lead anywhere.
    session.max_redirects = 0
    session.headers["User-Agent"] = "breastlabel"
    session.headers[MIRROR_HEADER] = name
    # Packed answers would have to be unpacked before their size is known.
    session.headers["Accept-Encoding"] = "identity"
    session.auth = _Credentials(settings)
    if settings.client_cert is not None:
        certificate = str(settings.client_cert)
        key = settings.client_key
        session.cert = certificate if key is None else (certificate, str(key))
    if settings.authority is not None:
        session.verify = str(settings.authority)
    parts = urlsplit(settings.url)
    session.adapters.clear()
    session.mount(f"{parts.scheme}://{parts.netloc}/", _Adapter(settings))
    return session


class _Credentials(requests.auth.AuthBase):
    """Sets the header anew for each request, because a token may have been renewed."""

    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._settings.bearer()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._settings.username is not None:
            # As bytes, since requests takes text for Latin-1.
            name, password = self._settings.username, self._settings.password or ""
            requests.auth.HTTPBasicAuth(name.encode(), password.encode())(request)
        return request


class _Adapter(HTTPAdapter):
    """Waits no longer than the settings say, asks again where that cannot do harm, and bounds answers."""

    def __init__(self, settings: PacsSettings) -> None:
        self._timeout = (min(_CONNECT_SECONDS, settings.timeout), settings.timeout)
        self._most = settings.most_bytes
        again = Retry(
            total=2,
            connect=1,
            read=1,
            status=2,
            redirect=0,
            status_forcelist=(408, 429, 503, 504),
            allowed_methods=("GET",),
            backoff_factor=0.3,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        super().__init__(max_retries=again)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """As `HTTPAdapter` does, with the settings' timeout and limit."""
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        response = super().send(request, **kwargs)
        response.raw = _Bounded(response.raw, self._most)
        return response


class _Bounded:
    """A body that ends with an error where it grows too large, whatever it announced."""

    def __init__(self, raw: Any, most: int) -> None:
        self._raw, self._most = raw, most

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        got = 0
        for chunk in self._raw.stream(amount, decode_content=decode_content):
            got += len(chunk)
            if got > self._most:
                self._raw.close()
                raise PacsObjectError(
                    f"an answer of at most {self._most // 10**6} MB is required; the PACS sent more; "
                    "raise BREASTLABEL_PACS_MOST_MB, or leave it"
                )
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)
