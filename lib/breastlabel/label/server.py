"""The HTTP application of breastlabel, and how it takes the place of MONAI Label's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from starlette.routing import Mount

from breastlabel.label.access import LocalOnly, remote_allowed
from breastlabel.label.body_limit import BodyLimit
from breastlabel.label.errors import add_error_handlers
from breastlabel.label.routes import all_routers
from breastlabel.web import web_routers

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["build_server", "take_over"]

_LOCAL_ORIGINS = r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?"


def build_server(app: BreastLabelApp) -> FastAPI:
    """The application with all routes.

    Routes are plain functions, which run in threads, so that a slow inference keeps nobody else waiting.
    Two stock routes are left out on purpose: ``PUT /model`` overwrites served weights and is not atomic,
    and ``POST /reload`` lets anyone hang the server.
    """
    server = FastAPI(title="breastlabel", version=app.version, description=app.description)
    add_error_handlers(server)
    for router in all_routers(app):
        server.include_router(router, prefix=settings.MONAI_LABEL_API_STR)
    for router in web_routers(app):
        server.include_router(router)
    server.add_middleware(BodyLimit)
    origins = [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]
    server.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_origin_regex=_LOCAL_ORIGINS,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    # Added last, so it stands outermost. With a login, the login decides who may come in.
    if not settings.MONAI_LABEL_AUTH_ENABLE and not remote_allowed():
        server.add_middleware(LocalOnly)
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
