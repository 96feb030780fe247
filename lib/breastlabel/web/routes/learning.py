"""``/learning`` and ``/api/learning``: what the readers' labels made of the models."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from breastlabel.imaging import Modality
from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import USER
from breastlabel.web.pages.learning import Learning, learning
from breastlabel.web.pages.learning_view import learning_view
from breastlabel.web.pages.rendering import fragment, page
from breastlabel.web.pages.training_view import training_view

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

#: The page may be open on many screens; what it shows is looked up at most this often.
_SECONDS = 5.0


def router(app: BreastLabelApp) -> APIRouter:
    """The page, its training panel, and the figures as JSON."""
    routes = APIRouter(dependencies=USER)
    lock = threading.Lock()
    held: dict[str | None, tuple[float, Learning]] = {}

    def looked_up(modality: str | None) -> Learning:
        with lock:
            when, found = held.get(modality, (0.0, None))
            if found is None or time.monotonic() - when > _SECONDS:
                found = learning(app, modality=modality, mlflow=_mlflow())
                held[modality] = (time.monotonic(), found)
            return found

    @routes.get("/learning", include_in_schema=False)
    def show() -> HTMLResponse:
        return page(
            "learning",
            title="Learning",
            view=learning_view(looked_up(None)),
            training=training_view(app),
        )

    @routes.get("/learning/training", include_in_schema=False)
    def training_panel() -> HTMLResponse:
        return fragment("training", training=training_view(app))

    @routes.get(
        "/api/learning", tags=["Reading room"], summary="Labels over time, corrections, versions, promotions"
    )
    def as_json(modality: Annotated[Modality | None, Query()] = None) -> dict[str, Any]:
        return dict(plain(looked_up(None if modality is None else modality.value).to_json()))

    return routes


def _mlflow() -> str | None:
    """The tracking server's address without a name and password in it; None where there is no server."""
    address = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if address.scheme not in ("http", "https") or not address.hostname:
        return None
    host = address.netloc.rpartition("@")[2]
    return urlunsplit((address.scheme, host, address.path, "", ""))
