"""``GET /logs/``: the end of the server's log. It names no images and no patients."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from breastlabel.errors import NotFoundError
from breastlabel.label.routes.roles import ADMIN

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """As plain text."""
    routes = APIRouter(prefix="/logs", tags=["Others"], dependencies=ADMIN)

    @routes.get("/", summary="The last lines of the server's log")
    def logs(lines: Annotated[int, Query(ge=1, le=10_000)] = 300) -> PlainTextResponse:
        path = Path(app.app_dir) / "logs" / "app.log"
        if not path.is_file():
            raise NotFoundError("a log file is required; this server writes none")
        with path.open(encoding="utf-8", errors="replace") as file:
            return PlainTextResponse("".join(deque(file, lines)))

    return routes
