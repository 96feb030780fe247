"""``/datastore/label``: the readers' and the models' label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse, Response

from breastlabel.label.datastore import FINAL
from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import ADMIN, ANNOTATOR, USER
from breastlabel.label.routes.uploads import json_object, received

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Saving, downloading and removing labels. A label's id is its image's."""
    routes = APIRouter(prefix="/datastore", tags=["Datastore"])
    store = app.datastore()

    @routes.put(
        "/label",
        summary="Save a label map; an empty one means that the image is normal",
        dependencies=ANNOTATOR,
    )
    def save_label(
        image: str,
        label: Annotated[UploadFile, File()],
        params: Annotated[str, Form()] = "{}",
        tag: str = FINAL,
    ) -> dict[str, str]:
        info = json_object(params)
        with received(label, default_suffix=".nii.gz") as path:
            saved = store.save_label(image, str(path), tag or FINAL, info)
        return {"image": image, "label": saved}

    @routes.get("/label", summary="Download a label map", dependencies=USER)
    def download_label(label: str, tag: str) -> FileResponse:
        path = store.label_file(label, tag)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @routes.head("/label", summary="Whether an image has a label", dependencies=USER)
    def check_label(image: str, tag: str) -> Response:
        store.label_file(image, tag)
        return Response()

    @routes.delete(
        "/label", summary="Take a label away; it is kept among the earlier ones", dependencies=ADMIN
    )
    def remove_label(id: str, tag: str) -> dict[str, str]:
        store.remove_label(id, tag)
        return {}

    @routes.get("/label/info", summary="What is known of a label", dependencies=USER)
    def label_info(label: str, tag: str) -> dict[str, Any]:
        return dict(plain(store.get_label_info(label, tag)))

    @routes.put("/label/info", summary="Note something on a label", dependencies=ANNOTATOR)
    def note_on_label(label: str, tag: str, info: Annotated[str, Form()] = "{}") -> None:
        store.update_label_info(label, tag, json_object(info, "info"))

    @routes.put("/updatelabelinfo", include_in_schema=False, dependencies=ANNOTATOR)
    def note_on_label_formerly(label: str, tag: str, params: Annotated[str, Form()] = "{}") -> None:
        store.update_label_info(label, tag, json_object(params))

    return routes
