"""The routes of the embedded archive, ``/dicom-web``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from breastlabel.web.dicomweb import qido, stow, wado, wado_frames
from breastlabel.web.dicomweb.places import ROOT

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """QIDO-RS, WADO-RS and STOW-RS over the folder."""
    routes = APIRouter(prefix=ROOT, tags=["DICOMweb"])
    for part in (qido, wado, wado_frames, stow):
        part.add_routes(routes, app)
    return routes
