"""The server's own address: a browser is led to the worklist, a program to the page about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """``GET /``."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def home(request: Request) -> RedirectResponse:
        browses = "text/html" in request.headers.get("accept", "")
        return RedirectResponse("/worklist" if browses else "/about")

    return routes
