"""``/datastore/label``: the readers' and the models' label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse, Response

from breastlabel.label.datastore import FINAL
from breastlabel.label.described import label_name, version_json
from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import ADMIN, ANNOTATOR, REVIEWER, USER
from breastlabel.label.routes.uploads import json_object, received

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Saving, downloading and removing labels, and judging their versions. A label's id is its image's."""
    routes = APIRouter(prefix="/datastore", tags=["Datastore"])
    store = app.datastore()
    labels = store.catalog.labels

    @routes.put(
        "/label",
        summary="Save a label map as a new version; an empty one means that the image is normal",
        dependencies=ANNOTATOR,
    )
    def save_label(
        image: str,
        label: Annotated[UploadFile, File()],
        params: Annotated[str, Form()] = "{}",
        tag: str = FINAL,
    ) -> dict[str, Any]:
        info = json_object(params)
        with received(label, default_suffix=".nii.gz") as path:
            saved = store.save(image, path, tag or FINAL, info)
        app.corrections.submit(saved)
        return {"image": image, "label": image, "version": saved.version, "state": saved.state}

    @routes.get("/label", summary="Download a label map, or one version of it", dependencies=USER)
    def download_label(label: str, tag: str = FINAL, version: int | None = None) -> FileResponse:
        found = store.label(label, tag, version)
        return FileResponse(
            labels.path(found), media_type="application/octet-stream", filename=label_name(found)
        )

    @routes.head("/label", summary="Whether an image has a label", dependencies=USER)
    def check_label(image: str, tag: str) -> Response:
        store.label(image, tag)
        return Response()

    @routes.delete(
        "/label", summary="Take a label away; it is kept among the earlier ones", dependencies=ADMIN
    )
    def remove_label(id: str, tag: str) -> dict[str, str]:
        store.remove_label(id, tag)
        return {}

    @routes.get("/label/history", summary="All readings of an image, oldest first", dependencies=USER)
    def history(image: str) -> dict[str, Any]:
        return {"image": image, "versions": [plain(version_json(v)) for v in store.history(image)]}

    @routes.put(
        "/label/state", summary="Accept a version, reject it, or make it a draft again", dependencies=REVIEWER
    )
    def set_state(
        image: str, version: int, state: str, params: Annotated[str, Form()] = "{}"
    ) -> dict[str, Any]:
        judged = store.set_state(image, version, state, json_object(params))
        app.corrections.submit(judged)
        return dict(plain(version_json(judged)))

    @routes.put(
        "/label/restore", summary="Make an earlier version the newest one again", dependencies=REVIEWER
    )
    def restore(image: str, version: int, params: Annotated[str, Form()] = "{}") -> dict[str, Any]:
        return dict(plain(version_json(store.restore(image, version, json_object(params)))))

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
