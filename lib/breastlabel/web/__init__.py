"""The reading room: DICOMweb, OHIF's host, the worklist and other pages, and the interface behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from breastlabel.web.dicomweb import routes as dicomweb
from breastlabel.web.ohif import host
from breastlabel.web.own_objects import OwnObjects
from breastlabel.web.pacs import proxy
from breastlabel.web.pages import assets
from breastlabel.web.pages import routes as page_routes
from breastlabel.web.routes import (
    cases,
    images,
    learning,
    login,
    questions,
    segmentations,
    settings,
    training,
    uploads,
)

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["web_routers"]


def web_routers(app: BreastLabelApp) -> list[APIRouter]:
    """Every router of the reading room, bound to the app."""
    return [
        login.router(app),
        dicomweb.router(app) if app.pacs is None else proxy.router(app.pacs, OwnObjects(app)),
        host.router(app),
        assets.router(app),
        page_routes.router(app),
        learning.router(app),
        uploads.router(app),
        cases.router(app),
        images.router(app),
        training.router(app),
        settings.router(app),
        segmentations.router(app),
        questions.router(app),
    ]
