"""Who somebody is, by whatever they show: a password, a token of ours, or one of the identity provider."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from breastlabel.label.errors import BusyError
from breastlabel.label.login.attempts import Attempts
from breastlabel.label.login.oidc import OpenIdProvider
from breastlabel.label.login.sessions import Sessions
from breastlabel.label.login.users import User, UserFile

__all__ = ["Login", "TooManyTriesError"]

_BASIC_SECONDS, _BASIC_KEPT = 300.0, 256
#: Wrong passwords from one machine, which may be a proxy that everybody comes by.
_MOST_OF_HOST = 100


class TooManyTriesError(BusyError):
    """Too many wrong passwords for a name or from a machine; a later try will be looked at."""


class Login:
    """The login of a server: either a file of users or an identity provider.

    Attributes:
        sessions: makes the tokens that cookies hold.
        provider: None where a file of users stands for it.
        public_url: under which browsers reach the server; None: as the request says.
        hosts: names under which the server may be addressed, beside this machine's own.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        users: UserFile | None = None,
        provider: OpenIdProvider | None = None,
        public_url: str | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        if (users is None) == (provider is None):
            raise ValueError("either a file of users or a provider is required")
        self.sessions = sessions
        self.provider = provider
        self.public_url = public_url
        self.hosts = tuple(hosts)
        self._users = users
        self._attempts = Attempts()
        self._attempts_of_hosts = Attempts(most=_MOST_OF_HOST)
        self._lock = threading.Lock()
        self._basic: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    @property
    def realm(self) -> str:
        """The provider's address; empty where there is none."""
        return "" if self.provider is None else self.provider.issuer

    @property
    def client_id(self) -> str:
        """As which this server is known to the provider; empty where there is none."""
        return "" if self.provider is None else self.provider.client_id

    def by_token(self, token: str) -> User | None:
        """The user of a token of ours, or of the provider's; None for any other."""
        user = self.sessions.user(token)
        if user is not None:
            return user if self._users is None else self._as_in_file(user)
        return None if self.provider is None else self.provider.user(token)

    def by_password(self, name: str, password: str, *, host: str) -> User | None:
        """The user of a name and a password; None where they are wrong.

        Args:
            host: the machine that asks; guesses from it are counted, whatever names they try.

        Raises:
            TooManyTriesError: there were too many wrong ones.
        """
        # A name is kept for minutes, so a long one only as its hash.
        key = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
        wait = max(self._attempts.wait(key), self._attempts_of_hosts.wait(host))
        if wait > 0:
            raise TooManyTriesError(
                f"too many wrong passwords; the next try is looked at in {wait:.0f} s; wait until then"
            )
        if self._users is not None:
            user = self._users.check(name, password)
        else:
            assert self.provider is not None
            token = self.provider.by_password(name, password)
            user = None if token is None else self.provider.user(token)
        if user is None:
            self._attempts.failed(key)
            self._attempts_of_hosts.failed(host)
        else:
            self._attempts.succeeded(key)
        return user

    def by_basic(self, name: str, password: str, *, host: str) -> User | None:
        """As `by_password`, for programs that send both with every request; remembered for minutes."""
        key = hashlib.sha256(f"{len(name)}:{name}:{password}".encode()).digest()
        with self._lock:
            known = self._basic.get(key)
        if known is not None and known[0] > time.monotonic():
            user = self.by_token(known[1])
            if user is not None:
                return user
        user = self.by_password(name, password, host=host)
        if user is not None:
            with self._lock:
                self._basic[key] = time.monotonic() + _BASIC_SECONDS, self.sessions.token(user)
                while len(self._basic) > _BASIC_KEPT:
                    self._basic.popitem(last=False)
        return user

    def close(self) -> None:
        """Let go of the connections to the provider."""
        if self.provider is not None:
            self.provider.close()

    def _as_in_file(self, user: User) -> User | None:
        """Who was taken out of the file, lost a role or got another password is so at once."""
        assert self._users is not None
        found = self._users.role_of(user.name)
        return found if found is not None and found.password_mark == user.password_mark else None
