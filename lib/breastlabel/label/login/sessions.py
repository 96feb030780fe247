"""Tokens that the server gives out itself: signed, with an end, and for this server only."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import jwt

from breastlabel.label.login.roles import roles_named
from breastlabel.label.login.users import User

__all__ = ["Sessions", "signing_key"]

_ISSUER = "breastlabel"
_ALGORITHM = "HS256"


class Sessions:
    """Makes and reads session tokens (JSON Web Tokens, RFC 7519).

    Args:
        key: the secret that signs them; whoever has it can make any user.
        hours: how long a session lasts.
    """

    def __init__(self, key: bytes, *, hours: float = 8.0) -> None:
        self._key = key
        self.seconds = round(hours * 3600)

    def token(self, user: User) -> str:
        """A token for a user who has just shown who they are."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": user.name,
            "roles": [role.value for role in user.roles],
            "pwm": user.password_mark,
            "iat": now,
            "exp": now + self.seconds,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def user(self, token: str) -> User | None:
        """Whose token it is; None for one that is not ours, was changed or has ended."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": ["sub", "exp", "iss"]},
            )
        except jwt.InvalidTokenError:
            return None
        roles = roles_named(map(str, claims.get("roles", ())))
        return User(str(claims["sub"]), tuple(roles), str(claims.get("pwm", "")))


def signing_key(path: Path) -> bytes:
    """The secret of a site, made when first asked for; readable by its owner alone.

    It outlasts a restart, so that nobody is thrown out by one, and several servers on one folder share it.
    """
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and linked: a server that starts at the same moment never reads half a key.
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            os.link(draft, path)
        finally:
            draft.unlink()
    return bytes.fromhex(path.read_text(encoding="ascii"))
