"""``/api/images``: pictures and downloads of an image, running the AI on it, and accepting what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Body, Query
from fastapi.responses import Response

from breastlabel.catalog.label_version import FINAL, ORIGINAL
from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.label.blinding import Blinding
from breastlabel.label.caller import ClientId
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ANNOTATOR, USER
from breastlabel.web.cases.accepting import accept_proposal
from breastlabel.web.cases.overlays import Layer
from breastlabel.web.cases.pictures import Pictures
from breastlabel.web.cases.results import Results
from breastlabel.web.cases.worklist import Worklist
from breastlabel.web.reading import image_dataset, proposal_of, read_image_by_ai, report_of, segmentation_of
from breastlabel.web.routes.downloads import dicom_download

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

#: Pictures that are made at once: a mammogram takes some hundred MB while it is read.
_AT_ONCE = 2
Json = dict[str, Any]
Tag = Annotated[str, Query(pattern=f"^({ORIGINAL}|{FINAL})$")]


def router(app: BreastLabelApp) -> APIRouter:
    """Everything by the image's id."""
    routes = APIRouter(prefix="/api/images/{image_id}", tags=["Reading room"])
    pictures = Pictures(app)
    results = Results(app, Worklist(app))
    blinding = Blinding(app)
    limit = CapacityLimiter(_AT_ONCE)

    async def picture(make: Callable[[], bytes]) -> Response:
        # Those that wait hold no thread of the server's.
        data = await to_thread.run_sync(make, limiter=limit)
        headers = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type="image/png", headers=headers)

    @routes.get("/thumbnail.png", summary="A small picture of the image", dependencies=USER)
    async def thumbnail(image_id: str, size: Annotated[int, Query(ge=32, le=1024)] = 256) -> Response:
        return await picture(lambda: pictures.thumbnail(image_id, size))

    @routes.get("/overlay.png", summary="Outlines, or where the network looked", dependencies=USER)
    async def overlay(
        image_id: str,
        layer: Layer = Layer.MASK,
        tag: Tag = ORIGINAL,
        background: bool = False,
        client_id: ClientId = None,
    ) -> Response:
        def make() -> bytes:
            if layer is Layer.HEATMAP or tag == ORIGINAL:
                blinding.refuse(image_id, client_id)
            return pictures.overlay(image_id, layer, tag=tag, background=background)

        return await picture(make)

    @routes.get("/segmentation.dcm", summary="Outlines as DICOM SEG", dependencies=USER)
    def segmentation(image_id: str, tag: Tag = ORIGINAL, client_id: ClientId = None) -> Response:
        if tag == ORIGINAL:
            blinding.refuse(image_id, client_id)
        version = app.datastore().label(image_id, tag)
        found = segmentation_of(app, version, image_dataset(app, image_id))
        return dicom_download(dicom_bytes(found), "segmentation.dcm")

    @routes.get("/report.dcm", summary="What the AI said as DICOM SR", dependencies=USER)
    def report(image_id: str, client_id: ClientId = None) -> Response:
        blinding.refuse(image_id, client_id)
        return dicom_download(dicom_bytes(report_of(app, proposal_of(app, image_id))), "report.dcm")

    @routes.post("/run", summary="Let the AI read the image", dependencies=USER)
    def run(image_id: str, params: Annotated[Json | None, Body()] = None) -> Json:
        client_id = Options(params).text("client_id")
        hidden = bool(blinding.withheld([image_id], client_id))
        read_image_by_ai(app, image_id, model=Options(params).text("model"), store=not hidden)
        return results.image_json(image_id, client_id)

    @routes.post("/accept", summary="Make the AI's outlines one's own final label", dependencies=ANNOTATOR)
    def accept(image_id: str, params: Annotated[Json | None, Body()] = None) -> Json:
        blinding.refuse(image_id, Options(params).text("client_id"))
        saved = accept_proposal(app, image_id, params)
        return dict(plain({"version": saved.version, "state": saved.state}))

    return routes
