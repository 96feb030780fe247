"""``/api/readings``: images that are read for the reading page, uploaded or of the studies folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse, Response

from breastlabel.errors import BreastLabelError, InvalidImageError, NotFoundError
from breastlabel.evaluation.case_report import CaseForm
from breastlabel.imaging import Density, Laterality, ViewPosition, image_stem
from breastlabel.label.blinding import Blinding
from breastlabel.label.caller import caller
from breastlabel.label.errors import BadRequestError, ConflictError
from breastlabel.label.routes.roles import ANNOTATOR, USER
from breastlabel.label.systems import MODELS
from breastlabel.web.pages.keeping import keep_upload
from breastlabel.web.pages.reading_dicom import reading_report_file, reading_segmentation_file
from breastlabel.web.pages.reading_run import Asked, ReadingRun, fitting_model, modality_of_file
from breastlabel.web.pages.readings import Reading, Readings, ReadingState
from breastlabel.web.routes.downloads import dicom_download

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

_PICTURES = ("original", "enhanced", "thresholded", "regions", "outline", "heat")
_REPORTS = {
    "report.html": "text/html",
    "case.html": "text/html",
    "case.pdf": "application/pdf",
    "case.png": "image/png",
}
#: A report is a file of its own: its one inline style is allowed, and nothing else.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def router(app: BreastLabelApp) -> APIRouter:
    """Asking for a reading, watching it, fetching what came of it, and letting go of it."""
    routes = APIRouter(prefix="/api/readings", tags=["Reading room"], dependencies=USER)
    readings = Readings(ReadingRun(app))
    app.on_close.append(readings.close)
    blinding = Blinding(app)

    @routes.post("", summary="Read an image with a model, in the background", status_code=202)
    def begin(
        file: Annotated[UploadFile | None, File()] = None,
        image_id: Annotated[str, Form()] = "",
        model: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
        age: Annotated[str, Form()] = "",
        side: Annotated[str, Form()] = "",
        view: Annotated[str, Form()] = "",
        density: Annotated[str, Form()] = "",
        client_id: Annotated[str, Form()] = "",
    ) -> dict[str, Any]:
        """An upload is kept for this reading alone; what is wrong with it is said at once.

        Of an image of the studies, age, side, view and density are what the catalog knows.
        """
        form = _form(code=code, age=age, side=side, view=view, density=density)
        if (file is None or not file.filename) == (not image_id):
            raise BadRequestError("a file or an image_id is required, and not both; give one of them")
        if image_id:
            asked = _known(image_id, model, form)
            blinding.refuse(image_id, client_id)
            return _begin(asked)
        assert file is not None
        return _begin_upload(file, model, form)

    def _begin_upload(file: UploadFile, model: str, form: CaseForm) -> dict[str, Any]:
        reading = readings.new(caller().user)
        try:
            path = _received(file, reading.folder)
            modality = modality_of_file(path)
            name = fitting_model(app, model, modality)
            app.images.read(path, MODELS[name].modality)
        except BaseException:
            readings.remove(reading)
            raise
        reading.asked = Asked(path, name, form)
        readings.start(reading)
        return reading.to_json()

    def _known(image_id: str, model: str, form: CaseForm) -> Asked:
        record = app.catalog.image(image_id)
        name = fitting_model(app, model, record.modality)
        if MODELS[name].modality is not record.modality:
            raise InvalidImageError(
                f"a model for {record.modality.value} is required; {name} reads "
                f"{MODELS[name].modality.value}; choose another"
            )
        return Asked(app.catalog.path(record), name, CaseForm(code=form.code), image_id)

    def _begin(asked: Asked) -> dict[str, Any]:
        reading = readings.new(caller().user)
        reading.asked = asked
        readings.start(reading)
        return reading.to_json()

    @routes.get("/{reading_id}", summary="How far a reading is, and its result")
    def state(reading_id: str) -> dict[str, Any]:
        return readings.get(reading_id, caller().user).to_json()

    @routes.delete("/{reading_id}", summary="Stop a reading, and forget it with its upload", status_code=204)
    def remove(reading_id: str) -> Response:
        readings.remove(readings.get(reading_id, caller().user))
        return Response(status_code=204)

    @routes.get("/{reading_id}/pictures/{name}.png", summary="One of its pictures")
    def picture(reading_id: str, name: str) -> FileResponse:
        if name not in _PICTURES:
            raise NotFoundError(f"a picture named {', '.join(_PICTURES)} is required; got another")
        return _file(_done(reading_id), f"{name}.png", "image/png")

    @routes.get("/{reading_id}/report", summary="Its report, as a file to keep")
    def report(reading_id: str, name: str = "") -> FileResponse:
        reading = _done(reading_id)
        assert reading.result is not None
        written = reading.result["reports"]
        name = name or next(n for n in written if n.endswith(".html"))
        if name not in written:
            raise NotFoundError(f"a report named {', '.join(written)} is required; got another")
        return _file(reading, name, _REPORTS[name], save_as=name)

    @routes.get("/{reading_id}/segmentation.dcm", summary="Its outlines as DICOM SEG")
    def segmentation(reading_id: str) -> Response:
        return dicom_download(reading_segmentation_file(app, _done(reading_id)), "segmentation.dcm")

    @routes.get("/{reading_id}/report.dcm", summary="Its findings as DICOM SR (TID 1500)")
    def structured_report(reading_id: str) -> Response:
        return dicom_download(reading_report_file(app, _done(reading_id)), "report.dcm")

    @routes.post("/{reading_id}/keep", summary="Add the upload to the studies", dependencies=ANNOTATOR)
    def keep(reading_id: str) -> dict[str, str]:
        reading = _done(reading_id)
        asked: Asked = reading.asked
        assert reading.result is not None
        if asked.image_id is not None:
            raise ConflictError("an upload is required; this image is of the studies already")
        if (kept := reading.result.get("kept_as")) is not None:
            raise ConflictError("an upload that is not kept yet is required; this one is; see " + str(kept))
        image_id = keep_upload(app, asked.file, asked.form, MODELS[asked.model].modality)
        reading.result = {**reading.result, "kept_as": image_id}
        return {"image_id": image_id}

    def _done(reading_id: str) -> Reading:
        reading = readings.get(reading_id, caller().user)
        if reading.state is not ReadingState.DONE:
            raise ConflictError(
                f"a reading that is done is required; this one is {reading.state.value}; wait"
            )
        return reading

    return routes


def _form(*, code: str, age: str, side: str, view: str, density: str) -> CaseForm:
    try:
        years = float(age) if age.strip() else None
    except ValueError:
        raise BadRequestError("an age in years is required; got something else; write a number") from None
    try:
        return CaseForm(
            code=code.strip() or None,
            age=years,
            side=Laterality(side) if side else None,
            view=ViewPosition(view) if view else None,
            density=Density(density) if density else None,
        )
    except BreastLabelError:
        raise
    except ValueError:
        raise BadRequestError(
            "side R or L, a view position as in DICOM (CC, MLO, ...), and density A to D are required; got "
            "something else; choose from the page's lists"
        ) from None


def _received(upload: UploadFile, folder: Path) -> Path:
    """The upload's file; of its name only the image suffix is used, for it may be a patient's."""
    name = Path((upload.filename or "").replace("\\", "/")).name
    suffix = name[len(image_stem(name)) :]
    path = folder / f"image{suffix}"
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return path


def _file(reading: Reading, name: str, media_type: str, *, save_as: str | None = None) -> FileResponse:
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _REPORT_POLICY,
    }
    return FileResponse(
        reading.folder / name,
        media_type=media_type,
        headers=headers,
        filename=None if save_as is None else f"breastlabel-{save_as}",
    )
