"""Who makes a request: the user of the login, the client program, the machine."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Security
from monailabel.config import settings
from monailabel.endpoints.user.auth import User, get_current_user

from breastlabel.label.options import Options

__all__ = ["Caller", "caller", "identify"]

#: A name is a label to tell annotators apart, not a place to store things.
_LONGEST = 128


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        user: name at the login; None where the server has none.
        host: address of the machine that the request came from; None outside a request.
    """

    user: str | None = None
    host: str | None = None

    def author(self, options: Mapping[str, Any] | None = None) -> str | None:
        """The annotator: the login's user; without a login, whom the client names as ``author``."""
        if self.user is not None:
            return self.user
        return _short(Options(options).text("author"))

    def client_id(self, options: Mapping[str, Any] | None = None) -> str:
        """The client program's own id (Slicer's *Client ID*); without one, a stable stand-in.

        Two people who send no id and come from one machine cannot be told apart, and share a lease.
        """
        stand_in = f"unknown-{self.user or self.host or 'local'}"
        return _short(Options(options).text("client_id")) or stand_in


_NOBODY = Caller()
_CALLER: ContextVar[Caller] = ContextVar("breastlabel_caller", default=_NOBODY)


def caller() -> Caller:
    """Who made the request that this thread is answering; nobody in particular outside one."""
    return _CALLER.get()


async def identify(request: Request, user: User = Security(get_current_user)) -> None:
    """A route's dependency that lets `caller` answer.

    The stock platform knows the user only in its routes and drops it before a label is saved. It must be a
    coroutine: what a plain function sets would be seen in its own worker thread only.
    """
    name = user.username if settings.MONAI_LABEL_AUTH_ENABLE else None
    _CALLER.set(Caller(user=_short(name), host=request.client.host if request.client else None))


def _short(text: str | None) -> str | None:
    # Neither database nor log can hold control characters, PostgreSQL no NUL at all.
    plain = "".join(c for c in text or "" if c.isprintable()).strip()[:_LONGEST]
    return plain or None
