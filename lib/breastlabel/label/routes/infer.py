"""``POST /infer/{model}``: a mask or a heat map, and what stands behind it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import JSONResponse, Response
from requests_toolbelt import MultipartEncoder  # type: ignore[import-untyped]

from breastlabel.label.blinding import Blinding
from breastlabel.label.datastore import ORIGINAL
from breastlabel.label.errors import BadRequestError
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import USER
from breastlabel.label.routes.session import session_image
from breastlabel.label.routes.uploads import json_object, received

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


class ResultType(StrEnum):
    """What the answer holds."""

    IMAGE = "image"
    JSON = "json"
    ALL = "all"


def router(app: BreastLabelApp) -> APIRouter:
    """Inference on an image of the folder, of a session, or uploaded with the request."""
    routes = APIRouter(prefix="/infer", tags=["Infer"], dependencies=USER)
    blinding = Blinding(app)

    @routes.post("/{model}", summary="Run a model on one image")
    def infer(
        model: str,
        image: str = "",
        session_id: str = "",
        params: Annotated[str, Form()] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
        output: ResultType = ResultType.ALL,
    ) -> Response:
        options = app.checked_options(json_object(params), image=image, model=model)
        tag = Options(options).text("label_tag", ORIGINAL)
        if Options(options).flag("save_label", False) and tag != ORIGINAL:
            # Any user may ask for a proposal; what counts as a reading, only an annotator may save.
            raise BadRequestError(
                f"a model's mask is saved as '{ORIGINAL}'; another label_tag was asked for; leave it out, "
                "and save a reading with PUT /datastore/label"
            )
        if label is not None:
            raise BadRequestError("no model here starts from a label; one was sent; leave it out")
        if file is not None and file.filename:
            with received(file, default_suffix=".nii.gz") as path:
                result = app.infer_file(model, path, options)
        elif session_id:
            result = app.infer_file(model, session_image(app, session_id), options)
        elif image:
            blinding.refuse(image, Options(options).text("client_id"))
            result = app.infer({**options, "model": model, "image": image})
        else:
            raise BadRequestError("an image, a session_id or a file is required; got none; name an image")
        return _answer(Path(result["file"]), result["params"], output)

    return routes


def _answer(file: Path, params: dict[str, Any], output: ResultType) -> Response:
    """The answer in the shape that MONAI Label's clients take apart; the temporary file is removed."""
    try:
        data = file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
    if output is ResultType.JSON:
        return JSONResponse(params)
    if output is ResultType.IMAGE:
        disposition = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(data, media_type="application/octet-stream", headers=disposition)
    encoder = MultipartEncoder(
        fields={
            "params": (None, json.dumps(params), "application/json"),
            "image": (file.name, data, "application/octet-stream"),
        }
    )
    return Response(encoder.to_string(), media_type=encoder.content_type)
