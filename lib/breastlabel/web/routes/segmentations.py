"""``POST /api/segmentations``: a reader's correction as DICOM SEG, straight from the viewer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from breastlabel.errors import BreastLabelError, InvalidLabelError
from breastlabel.label.caller import caller
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ANNOTATOR
from breastlabel.label.routes.uploads import json_object
from breastlabel.web.cases.vocabulary import reader_notes
from breastlabel.web.seg_file import parse_segmentation
from breastlabel.web.seg_intake import SegIntake
from breastlabel.web.seg_result import IntakeResult

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

logger = logging.getLogger(__name__)

_WEEK = 7 * 24 * 3600.0


def router(app: BreastLabelApp) -> APIRouter:
    """Taking one in. What comes by DICOMweb, or lies in the PACS, is taken in without being asked for."""
    routes = APIRouter(prefix="/api", tags=["Reading room"])
    intake = SegIntake(app)
    if not any(isinstance(getattr(hook, "__self__", None), SegIntake) for hook in app.archive.on_stored):
        app.archive.on_received.append(intake.on_received)
        app.archive.on_stored.append(intake.on_stored)

    @routes.post(
        "/segmentations",
        summary="Save a DICOM SEG as label versions of the images that it refers to",
        dependencies=ANNOTATOR,
        responses={422: {"description": "refused: not of this catalog's images, damaged, or contradictory"}},
    )
    def take(
        body: Annotated[bytes, Body(media_type="application/dicom")],
        client_id: str = "",
        author: str = "",
        birads: str = "",
        lesion_type: str = "",
        seconds_spent: str = "",
        segments: Annotated[str, Query(description='JSON: {"name": "benign", "malignant" or "ignore"}')] = "",
        complete: Annotated[
            str, Query(description="true: an image without a painted pixel is normal, too")
        ] = "",
    ) -> Any:
        options = Options(
            {
                "client_id": client_id,
                "author": author,
                "birads": birads,
                "lesion_type": lesion_type,
                "seconds_spent": seconds_spent,
                "complete": complete,
            }
        )
        notes = reader_notes(options)
        seconds = options.number("seconds_spent", low=0, high=_WEEK)
        whole = bool(options.flag("complete", False))
        meanings = json_object(segments, "segments")
        try:
            dataset = parse_segmentation(body)
        except InvalidLabelError as error:
            logger.warning("a segmentation was refused: %s", error)
            return _refused(IntakeResult("refused", reason=str(error)))
        result = intake.take(
            dataset,
            client_id=caller().client_id({"client_id": client_id}),
            author=options.name("author"),
            info=notes,
            seconds_spent=seconds,
            segments=meanings,
            complete=whole,
        )
        if result.status == "refused":
            return _refused(result)
        _keep(dataset)
        return result.to_json()

    def _keep(dataset: Dataset) -> None:
        """Let viewers load it again; the archive's hook finds it known."""
        try:
            app.archive.store(dataset, origin="stow")
        except (BreastLabelError, OSError) as error:
            # The labels are saved, and that is what the reader asked for.
            logger.warning("a segmentation became labels but was not archived: %s", type(error).__name__)

    return routes


def _refused(result: IntakeResult) -> JSONResponse:
    return JSONResponse({**result.to_json(), "detail": result.reason}, 422)
