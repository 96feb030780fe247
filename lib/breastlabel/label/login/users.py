"""A file of users: names, roles and hashed passwords, for a site without an identity provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breastlabel.errors import BreastLabelError, NotFoundError
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.label.login.roles import Role, roles_named
from breastlabel.label.options import short_name

__all__ = ["LEAST_CHARACTERS", "User", "UserFile"]

#: Of a password; what NIST SP 800-63B asks at least.
LEAST_CHARACTERS = 8
_MOST_CHARACTERS = 256
# scrypt (RFC 7914) with 16 MiB of memory: some 50 ms for us, and for each guess of whoever has the file.
_N, _R, _P = 2**14, 8, 1


@dataclass(frozen=True)
class User:
    """A person who came in by name.

    Attributes:
        password_mark: tells one password of theirs from the next, and nothing else of it; empty where an
            identity provider keeps it.
    """

    name: str
    roles: tuple[Role, ...]
    password_mark: str = field(default="", repr=False, compare=False)


class UserFile:
    """Users in a JSON file; it is read again when it changes, so that nobody has to restart the server.

    Args:
        path: made by `put`; nobody but its owner may read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int], dict[str, dict[str, Any]]] | None = None

    def users(self) -> list[User]:
        """All users, sorted by name.

        Raises:
            BreastLabelError: the file cannot be read or is no file of users.
        """
        return [_user(name, entry) for name, entry in sorted(self._entries().items())]

    def check(self, name: str, password: str) -> User | None:
        """The user, if name and password are right. It takes as long for a name that does not exist."""
        entry = self._entries().get(name)
        expected = entry["password"] if entry else _NOBODY
        if len(password) > _MOST_CHARACTERS or not _matches(password, expected) or entry is None:
            return None
        return _user(name, entry)

    def role_of(self, name: str) -> User | None:
        """The user of a name as the file now says it; None where there is none any more."""
        entry = self._entries().get(name)
        return None if entry is None else _user(name, entry)

    def put(self, name: str, password: str, roles: Iterable[str]) -> User:
        """Add a user, or give one another password and other roles.

        Who keeps the same password also keeps the sessions that were begun with it.

        Raises:
            BreastLabelError: no usable name, a password that is too short, an unknown role.
        """
        if not name or short_name(name) != name or ":" in name:
            raise BreastLabelError(
                "a user's name must be a short word without a colon; got another; choose a plain one"
            )
        if not LEAST_CHARACTERS <= len(password) <= _MOST_CHARACTERS:
            raise BreastLabelError(
                f"a password of {LEAST_CHARACTERS} to {_MOST_CHARACTERS} characters is required; got "
                f"{len(password)}; choose another"
            )
        known = roles_named(roles, strict=True)
        if not known:
            raise BreastLabelError(f"a role is required; got none; choose of {', '.join(Role)}")
        entries = self._entries() if self.path.exists() else {}
        before = entries.get(name)
        kept = before is not None and _matches(password, before["password"])
        entry = {
            "roles": [role.value for role in known],
            "password": before["password"] if before is not None and kept else _hashed(password),
        }
        self._write({**entries, name: entry})
        return _user(name, entry)

    def remove(self, name: str) -> None:
        """Take a user out.

        Raises:
            NotFoundError: there is none of that name.
        """
        entries = dict(self._entries())
        if entries.pop(name, None) is None:
            raise NotFoundError(f"a user of the file is required; '{name[:80]}' is none; list them first")
        self._write(entries)

    def _entries(self) -> dict[str, dict[str, Any]]:
        try:
            found = self.path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, _parsed(json.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BreastLabelError(
                f"a file of users is required; that at {self.path} cannot be read ({type(error).__name__}); "
                "make one with: breastlabel users add NAME --file FILE"
            ) from error
        return self._read[1]

    def _write(self, entries: Mapping[str, Any]) -> None:
        data = json.dumps({"users": entries}, indent=2, sort_keys=True).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(self.path, data)
        os.chmod(self.path, 0o600)


def _user(name: str, entry: Mapping[str, Any]) -> User:
    # The stored hash begins with a random salt, so nobody can guess the password from its digest.
    mark = hashlib.sha256(entry["password"].encode()).hexdigest()[:32]
    return User(name, tuple(roles_named(entry["roles"], strict=True)), mark)


def _parsed(document: Any) -> dict[str, dict[str, Any]]:
    users = document["users"]
    for entry in users.values():
        roles_named(entry["roles"], strict=True)
        _parts(entry["password"])
    return dict(users)


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    text = (base64.b64encode(part).decode() for part in (salt, _derived(password, salt)))
    return "scrypt$" + "$".join(text)


def _matches(password: str, stored: str) -> bool:
    salt, expected = _parts(stored)
    return hmac.compare_digest(_derived(password, salt), expected)


def _parts(stored: str) -> tuple[bytes, bytes]:
    kind, salt, expected = stored.split("$")
    if kind != "scrypt":
        raise ValueError("unknown kind of password")
    return base64.b64decode(salt, validate=True), base64.b64decode(expected, validate=True)


def _derived(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=64 * 2**20, dklen=32)


#: Compared where there is no such user, so that the time to answer does not tell who exists.
_NOBODY = _hashed(secrets.token_hex(16))
