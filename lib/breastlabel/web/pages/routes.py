"""``/worklist``, ``/read`` and ``/about``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from breastlabel.catalog.case_order import CaseStatus
from breastlabel.imaging import Density, Modality, ViewPosition
from breastlabel.imaging.files import IMAGE_SUFFIXES
from breastlabel.label.routes.roles import USER
from breastlabel.label.systems import MODELS
from breastlabel.web.cases.worklist import Worklist
from breastlabel.web.pages.case_codes import browser_patterns
from breastlabel.web.pages.rendering import fragment, page
from breastlabel.web.pages.worklist import Filter, worklist_view

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router", "server_address"]

_WHAT = {
    "ultrasound": "outline and class",
    "mammography": "outline and class",
    "fusionview": "class, CC and MLO joined",
    "screening": "class, with age and density",
    "cad": "class and regions, with the form (CAD)",
}
_TITLES = {Modality.MG: "a mammogram", Modality.US: "a breast ultrasound"}


def router(app: BreastLabelApp) -> APIRouter:
    """The worklist, the page that reads images, and the one about the server."""
    routes = APIRouter(include_in_schema=False, dependencies=USER)
    worklist = Worklist(app)

    def view(request: Request, wanted: Filter) -> dict[str, Any]:
        return worklist_view(app, worklist, wanted, address=server_address(request))

    @routes.get("/worklist")
    def cases(request: Request, wanted: Annotated[Filter, Depends(_filter)]) -> HTMLResponse:
        return page("worklist", title="Worklist", view=view(request, wanted))

    @routes.get("/worklist/list")
    def listed(request: Request, wanted: Annotated[Filter, Depends(_filter)]) -> HTMLResponse:
        return fragment("worklist_list", view=view(request, wanted))

    @routes.get("/about")
    def about(request: Request) -> HTMLResponse:
        status = app.datastore().status()
        models = [
            {"name": name, "modality": MODELS[name].modality.value, "version": app.predictors.version(name)}
            for name in app.trainers()
        ]
        return page(
            "about",
            title="About",
            description=app.description,
            labelled=status["completed"],
            total=status["total"],
            models=models,
            address=server_address(request),
        )

    @routes.get("/read")
    def read() -> HTMLResponse:
        return page(
            "read",
            title="Read",
            patterns=browser_patterns(),
            suffixes=IMAGE_SUFFIXES,
            views=[view.value for view in ViewPosition],
            densities=[density.value for density in Density],
            models=_models(app),
        )

    return routes


def _filter(
    status: CaseStatus = CaseStatus.WAITING,
    modality: Annotated[Literal["MG", "US", ""], Query()] = "",
    strategy: Annotated[str, Query(max_length=64)] = "",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Filter:
    return Filter(status, Modality(modality) if modality else None, strategy or None, offset)


def _models(app: BreastLabelApp) -> list[dict[str, Any]]:
    """The served systems by what they read, those that outline first."""
    groups = []
    for modality, title in _TITLES.items():
        names = [name for name in app.trainers() if MODELS[name].modality is modality]
        models = [
            {"name": name, "what": _WHAT[name], "version": app.predictors.version(name)}
            for name in sorted(names, key=lambda name: not MODELS[name].outlines)
        ]
        if models:
            groups.append({"title": title, "models": models})
    return groups


def server_address(request: Request) -> str:
    """The address under which the browser reached this server, as Slicer wants it: without a path."""
    return str(request.base_url).rstrip("/")
