"""``/health`` and ``/metrics``: how the server is, for those who look after it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from breastlabel.errors import BreastLabelError
from breastlabel.label.routes.roles import USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp
    from breastlabel.web.monitoring import Monitoring

__all__ = ["LEAST_DISK", "health_of", "router"]

#: Bytes below which a label, a proposal or a checkpoint may soon not be kept.
LEAST_DISK = 200 * 2**20


def router(app: BreastLabelApp, monitoring: Monitoring) -> APIRouter:
    """``/health`` asks for no login, so that a supervisor can; it tells nothing of patients or paths."""
    routes = APIRouter(tags=["Operation"])

    @routes.get("/health", summary="Whether the server can do its work: 200 or 503")
    def health() -> JSONResponse:
        said = health_of(app)
        return JSONResponse(said, 503 if said["status"] == "failing" else 200)

    @routes.get("/metrics", summary="Figures for Prometheus", dependencies=USER)
    def metrics() -> Response:
        return Response(monitoring.text(), media_type=CONTENT_TYPE_LATEST)

    return routes


def health_of(app: BreastLabelApp) -> dict[str, Any]:
    """``status``: ``ok``; ``degraded`` where the PACS does not answer and what is here already is served;
    ``failing`` where something that readers need does not work.

    ``catalog``: ``ok`` or ``failing``; ``models``: the version of each that serves, null where none is
    trained; ``archive``: its ``kind``, ``folder`` or ``pacs``, and its ``state``; ``workers``: whether each
    background worker lives; ``disk_free`` in bytes, null where the studies folder is gone.
    """
    try:
        app.catalog.counts()
        catalog = "ok"
    except BreastLabelError:
        catalog = "failing"
    try:
        disk_free = shutil.disk_usage(app.studies).free
    except OSError:
        disk_free = None
    workers = app.workers()
    trouble = app.pacs is not None and app.pacs.mirror.progress.trouble is not None
    status = "degraded" if trouble else "ok"
    if catalog != "ok" or disk_free is None or disk_free < LEAST_DISK or not all(workers.values()):
        status = "failing"
    return {
        "status": status,
        "catalog": catalog,
        "models": {name: app.predictors.version(name) for name in app.trainers()},
        "archive": {
            "kind": "folder" if app.pacs is None else "pacs",
            "state": "failing" if trouble else "ok",
        },
        "workers": workers,
        "disk_free": disk_free,
    }
