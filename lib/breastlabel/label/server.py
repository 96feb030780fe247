"""The HTTP application of breastlabel, and how it takes the place of MONAI Label's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from monailabel.endpoints.user.auth import get_current_user
from starlette.routing import Mount

from breastlabel.label.access import LocalOnly, OwnPages, remote_allowed
from breastlabel.label.body_limit import BodyLimit
from breastlabel.label.errors import add_error_handlers
from breastlabel.label.login.guard import LoginGuard
from breastlabel.label.login.monai_user import current_user, user_without_login
from breastlabel.label.routes import all_routers
from breastlabel.web import web_routers
from breastlabel.web.monitoring import Monitoring, RequestTimes
from breastlabel.web.routes import health

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["build_server", "take_over"]

_CORS: dict[str, Any] = {"allow_credentials": True, "allow_methods": ["*"], "allow_headers": ["*"]}
_LOCAL_ORIGINS = r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?"


def build_server(app: BreastLabelApp) -> FastAPI:
    """The application with all routes.

    Routes are plain functions, which run in threads, so that a slow inference keeps nobody else waiting.
    Two stock routes are left out on purpose: ``PUT /model`` overwrites served weights and is not atomic,
    and ``POST /reload`` lets anyone hang the server.
    """
    # Without FastAPI's pages of documentation, whose scripts come from the web and would run as ours.
    server = FastAPI(
        title="breastlabel",
        version=app.version,
        description=app.description,
        docs_url=None,
        redoc_url=None,
    )
    add_error_handlers(server)
    settings.MONAI_LABEL_AUTH_ENABLE = app.login is not None
    server.dependency_overrides[get_current_user] = user_without_login if app.login is None else current_user
    for router in all_routers(app):
        server.include_router(router, prefix=settings.MONAI_LABEL_API_STR)
    for router in web_routers(app):
        server.include_router(router)
    monitoring = Monitoring(app)
    server.include_router(health.router(app, monitoring))
    server.add_middleware(RequestTimes, monitoring=monitoring)
    server.add_middleware(BodyLimit)
    origins = [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]
    if app.login is None:
        server.add_middleware(
            CORSMiddleware, **_CORS, allow_origins=origins, allow_origin_regex=_LOCAL_ORIGINS
        )
        # Added last, so it stands outermost.
        if remote_allowed():
            server.add_middleware(OwnPages, origins=origins)
        else:
            server.add_middleware(LocalOnly)
        return server
    server.add_middleware(LoginGuard, login=app.login)
    # Outside the login, for a browser asks by itself, without cookie or token, whether it may ask. "*" would
    # let any page use the cookie of whoever is logged in.
    server.add_middleware(CORSMiddleware, **_CORS, allow_origins=[o for o in origins if o != "*"])
    return server


def take_over(app: BreastLabelApp) -> FastAPI:
    """Let MONAI Label's server answer with our application.

    ``monailabel start_server`` always runs ``monailabel.app:app``, and builds the app inside that
    object's lifespan, when its middleware stands already and its routes win over any that are added. So
    its routes are replaced by one mount, and its middleware stack is built again.
    """
    from monailabel.app import app as stock

    server = build_server(app)
    stock.router.routes[:] = [Mount("/", app=server)]
    stock.user_middleware.clear()
    stock.middleware_stack = stock.build_middleware_stack()
    return server
