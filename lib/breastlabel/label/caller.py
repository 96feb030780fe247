"""Who makes a request: the user of the login, the client program, the machine."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Security
from monailabel.config import settings
from monailabel.endpoints.user.auth import User, get_current_user

from breastlabel.label.options import Options, short_name

__all__ = ["CLIENT_COOKIE", "Caller", "ClientId", "caller", "identify"]

#: By which a browser says its client id where a page cannot: OHIF asks the archive by itself.
CLIENT_COOKIE = "breastlabel_client"
#: A route's query parameter ``client_id``.
ClientId = Annotated[str | None, Query(max_length=128)]

#: What every 3D Slicer calls itself until somebody changes it in its settings.
_SLICERS_DEFAULT = "user-xyz"


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        user: name at the login; None where the server has none.
        host: address of the machine that the request came from; None outside a request.
        roles: MONAI Label's names of what the user may do; without a login, all of them.
        client: the browser's own id, of its cookie; None where it has none.
    """

    user: str | None = None
    host: str | None = None
    roles: tuple[str, ...] = ()
    client: str | None = None

    def author(self, options: Mapping[str, Any] | None = None) -> str | None:
        """The annotator: the login's user; without a login, whom the client names as ``author``."""
        if self.user is not None:
            return self.user
        return Options(options).name("author")

    def named_client(self, options: Mapping[str, Any] | None = None) -> str | None:
        """The client program's own id (Slicer's *Client ID*); None where it says none.

        Slicer's default id counts as none, for it tells nobody apart.
        """
        said = Options(options).name("client_id")
        return self.client if said is None or said == _SLICERS_DEFAULT else said

    def client_id(self, options: Mapping[str, Any] | None = None) -> str:
        """`named_client`; without one, a stable stand-in.

        Two people who send no id, without a login and from one machine, cannot be told apart, and share a
        lease.
        """
        return self.named_client(options) or f"unknown-{self.user or self.host or 'local'}"


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
    host = request.client.host if request.client else None
    client = short_name(request.cookies.get(CLIENT_COOKIE))
    _CALLER.set(Caller(user=short_name(name), host=host, roles=tuple(user.roles), client=client))
