"""A small OpenID Connect provider on a free loopback port: discovery, keys, password grant, code flow."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "breastlabel-app"


class Provider:
    """Knows one user, ``ada`` with the password ``correct horse``, an annotator."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "one"
        self.codes: dict[str, dict[str, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realms/imaging"

    def token(self, *, key: Any = None, **claims: Any) -> str:
        standard = {
            "iss": self.issuer,
            "sub": "4711",
            "preferred_username": "ada",
            "azp": CLIENT,
            "aud": "account",
            "exp": int(time.time()) + 60,
            "realm_access": {"roles": ["monailabel-annotator", "offline_access"]},
        }
        return jwt.encode(standard | claims, key or self.key, algorithm="RS256", headers={"kid": self.kid})

    def log_in(self, address: str) -> str:
        """What the provider's own page does once the user has logged in: where it sends the browser."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _grant(self, form: dict[str, str]) -> dict[str, Any] | None:
        if form.get("client_id") != CLIENT:
            return None
        if form["grant_type"] == "password":
            right = (form["username"], form["password"]) == ("ada", "correct horse")
            return {"access_token": self.token()} if right else None
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return None
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return None
        identity = self.token(aud=CLIENT, nonce=asked["nonce"], realm_access={})
        return {"access_token": self.token(), "id_token": identity}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("/.well-known/openid-configuration"):
                    names = ("authorization", "token")
                    ends = {f"{name}_endpoint": f"{provider.issuer}/{name}" for name in names}
                    self._say(200, {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/keys", **ends})
                elif self.path.endswith("/keys"):
                    key = jwt.algorithms.RSAAlgorithm.to_jwk(provider.key.public_key(), as_dict=True)
                    self._say(200, {"keys": [key | {"kid": provider.kid, "use": "sig", "alg": "RS256"}]})
                else:
                    self._say(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                granted = provider._grant({name: values[0] for name, values in parse_qs(body).items()})
                self._say(400 if granted is None else 200, granted or {"error": "invalid_grant"})

            def _say(self, status: int, document: dict[str, Any]) -> None:
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        return Handler


@contextlib.contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join()
