"""``GET /api/training``: how far the training is; ``POST /train/{model}`` begins one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """The training that runs, else the last one, in one line."""
    routes = APIRouter(prefix="/api", tags=["Reading room"], dependencies=USER)

    @routes.get("/training", summary="How far the training is")
    def training() -> dict[str, Any]:
        return dict(plain(_training(app)))

    return routes


def _training(app: BreastLabelApp) -> dict[str, Any]:
    running = app.jobs.running()
    task = running or app.jobs.latest()
    if task is None:
        return {
            "running": False,
            "model": None,
            "status": None,
            "progress": None,
            "epoch": None,
            "total_epochs": None,
            "message": "no training was asked for yet",
            "version": None,
            "promoted": None,
        }
    return {
        "running": running is not None,
        "model": task["request"].get("model"),
        "status": task["status"],
        "progress": task["progress"],
        "epoch": task["epoch"],
        "total_epochs": task["total_epochs"],
        "message": task["message"],
        "version": task["version"],
        "promoted": task["promoted"],
    }
