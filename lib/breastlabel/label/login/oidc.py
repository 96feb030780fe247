"""OpenID Connect: an identity provider of the hospital says who somebody is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from breastlabel.errors import BreastLabelError
from breastlabel.label.login.roles import roles_named
from breastlabel.label.login.users import User
from breastlabel.label.options import short_name

__all__ = ["OpenIdProvider", "PendingLogin"]

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384")
_TIMEOUT = 10.0
_KEEP_KEYS = 600.0
#: A provider that rotates its keys is asked for a new one at most this often, whatever tokens say.
_ASK_AGAIN = 30.0
#: How long somebody may take at the provider's own page.
_PENDING_SECONDS = 600.0
#: Logins that were begun and not ended, which anybody may begin; the oldest make room.
_MOST_PENDING = 10_000


@dataclass(frozen=True)
class PendingLogin:
    """A login that a browser began: what must come back with it (RFC 7636, OpenID Connect Core 3.1.2)."""

    state: str
    nonce: str
    verifier: str
    next_page: str
    began: float

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class OpenIdProvider:
    """One provider, found by its issuer address.

    Args:
        issuer: for example ``https://login.hospital.example/realms/imaging``.
        client_id: as which this server is registered there.
        client_secret: None for a public client, which the code flow's challenge (PKCE) protects.
        name_claim: the claim with the user's name.
        roles_claim: where the roles stand, ``#`` between nested names, as MONAI Label writes it.
        transport: for tests.
    """

    def __init__(
        self,
        issuer: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        name_claim: str = "preferred_username",
        roles_claim: str = "realm_access#roles",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.issuer = issuer.rstrip("/")
        self.client_id = client_id
        self._secret = client_secret
        self._name_claim = name_claim
        self._roles_claim = roles_claim
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport, follow_redirects=False)
        self._lock = threading.Lock()
        self._configuration: dict[str, Any] | None = None
        self._keys: tuple[float, dict[str, Any]] = (-_KEEP_KEYS, {})
        self._pending: dict[str, PendingLogin] = {}

    def user(self, token: str, *, nonce: str | None = None) -> User | None:
        """Whose token it is; None for one that the provider did not sign for this client, or that has ended.

        Args:
            nonce: what an identity token must repeat.

        Raises:
            BreastLabelError: the provider does not answer.
        """
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key(str(header.get("kid", ""))),
                algorithms=list(_ALGORITHMS),
                # The discovery document's own word: some providers write it with a slash at its end.
                issuer=str(self._endpoint("issuer")),
                leeway=10,
                options={"require": ["exp"], "verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return None
        if not self._is_for_us(claims):
            return None
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            return None
        name = short_name(str(claims.get(self._name_claim) or claims.get("sub") or ""))
        return None if not name else User(name, tuple(roles_named(_roles(claims, self._roles_claim))))

    def by_password(self, name: str, password: str) -> str | None:
        """An access token for a name and a password (Slicer's dialog knows no other way); None if refused.

        Raises:
            BreastLabelError: the provider does not answer.
        """
        answer = self._token(
            {"grant_type": "password", "username": name, "password": password, "scope": "openid"}
        )
        return None if answer is None else str(answer.get("access_token") or "") or None

    def begin(self, next_page: str, redirect_uri: str) -> tuple[str, str]:
        """Address of the provider's own login page, and the state that the browser has to bring back."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        pending = PendingLogin(state, nonce, verifier, next_page, time.monotonic())
        with self._lock:
            self._forget_old()
            self._pending[pending.state] = pending
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._endpoint("authorization_endpoint"))
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}", pending.state

    def finish(self, state: str, code: str, redirect_uri: str) -> tuple[User, str] | None:
        """The user and the page they wanted, once the provider has sent the browser back; None if refused.

        Roles are taken from the access token where the identity token has none, as Keycloak's.
        """
        with self._lock:
            self._forget_old()
            pending = self._pending.pop(state, None)
        if pending is None:
            return None
        answer = self._token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": pending.verifier,
            }
        )
        user = self.user(str((answer or {}).get("id_token", "")), nonce=pending.nonce) if answer else None
        if answer is None or user is None:
            return None
        if not user.roles:
            allowed = self.user(str(answer.get("access_token", "")))
            user = User(user.name, allowed.roles if allowed is not None else ())
        return user, pending.next_page

    def close(self) -> None:
        """Let go of the connections; nothing is asked any more."""
        self._http.close()

    def _is_for_us(self, claims: Mapping[str, Any]) -> bool:
        audience = claims.get("aud", ())
        named = [audience] if isinstance(audience, str) else list(audience)
        return self.client_id in named or claims.get("azp") == self.client_id

    def _key(self, kid: str) -> Any:
        with self._lock:
            read, keys = self._keys
            age = time.monotonic() - read
            if age > _KEEP_KEYS or (kid not in keys and age > _ASK_AGAIN):
                keys = self._fetched_keys()
                self._keys = time.monotonic(), keys
        if kid not in keys:
            raise jwt.InvalidTokenError("no such key")
        return keys[kid]

    def _fetched_keys(self) -> dict[str, Any]:
        document = self._get(str(self._endpoint("jwks_uri")))
        keys = {}
        for entry in document.get("keys", ()):
            if entry.get("use", "sig") == "sig" and entry.get("kty") in ("RSA", "EC"):
                keys[str(entry.get("kid", ""))] = jwt.PyJWK(entry).key
        return keys

    def _endpoint(self, name: str) -> Any:
        if self._configuration is None:
            document = self._get(f"{self.issuer}/.well-known/openid-configuration")
            # Else another issuer's document would decide where passwords go (Discovery 1.0, 4.3).
            if str(document.get("issuer", "")).rstrip("/") != self.issuer:
                raise BreastLabelError(
                    "the identity provider must name itself as it was configured; it gave another issuer; "
                    "check BREASTLABEL_LOGIN"
                )
            self._configuration = document
        try:
            return self._configuration[name]
        except KeyError as error:
            raise BreastLabelError(
                f"an OpenID Connect provider with {name} is required; this one names none; "
                "check BREASTLABEL_LOGIN"
            ) from error

    def _get(self, address: str) -> dict[str, Any]:
        try:
            answer = self._http.get(address)
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise _away(error) from error

    def _token(self, form: dict[str, str]) -> dict[str, Any] | None:
        form["client_id"] = self.client_id
        if self._secret is not None:
            form["client_secret"] = self._secret
        try:
            answer = self._http.post(str(self._endpoint("token_endpoint")), data=form)
            if answer.status_code in (400, 401, 403):
                return None
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise _away(error) from error

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _PENDING_SECONDS
        for state in [state for state, pending in self._pending.items() if pending.began < oldest]:
            del self._pending[state]
        while len(self._pending) >= _MOST_PENDING:
            del self._pending[next(iter(self._pending))]


def _away(error: Exception) -> BreastLabelError:
    return BreastLabelError(
        f"the identity provider is required for a login and does not answer ({type(error).__name__}); "
        "try again, or ask the site's engineer"
    )


def _roles(claims: Mapping[str, Any], path: str) -> Iterable[str]:
    found: Any = claims
    for name in path.split("#"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return [str(role) for role in found] if isinstance(found, list | tuple) else []
