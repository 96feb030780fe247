"""``/datastore/label``: the readers' and the models' label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse, Response

from breastlabel.catalog import LabelVersion
from breastlabel.label.blinding import Blinding
from breastlabel.label.caller import ClientId
from breastlabel.label.datastore import FINAL, ORIGINAL
from breastlabel.label.described import label_info as described
from breastlabel.label.described import label_name, version_json
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
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
    blinding = Blinding(app)

    def seen(found: LabelVersion, client_id: str | None) -> LabelVersion:
        """A version that the caller may see: a model's proposal perhaps not yet."""
        if found.tag == ORIGINAL:
            blinding.refuse(found.image_id, client_id)
        return found

    def require_seen(image: str, version: int, said: dict[str, Any]) -> None:
        if blinding.is_on:
            seen(store.label(image, FINAL, version), Options(said).text("client_id"))

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
    def download_label(
        label: str, tag: str = FINAL, version: int | None = None, client_id: ClientId = None
    ) -> FileResponse:
        found = seen(store.label(label, tag, version), client_id)
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
    def history(image: str, client_id: ClientId = None) -> dict[str, Any]:
        versions = store.history(image)
        if blinding.withheld([image], client_id):
            versions = [version for version in versions if version.tag != ORIGINAL]
        return {"image": image, "versions": [plain(version_json(v)) for v in versions]}

    @routes.put(
        "/label/state", summary="Accept a version, reject it, or make it a draft again", dependencies=REVIEWER
    )
    def set_state(
        image: str, version: int, state: str, params: Annotated[str, Form()] = "{}"
    ) -> dict[str, Any]:
        said = json_object(params)
        require_seen(image, version, said)
        judged = store.set_state(image, version, state, said)
        app.corrections.submit(judged)
        return dict(plain(version_json(judged)))

    @routes.put(
        "/label/restore", summary="Make an earlier version the newest one again", dependencies=REVIEWER
    )
    def restore(image: str, version: int, params: Annotated[str, Form()] = "{}") -> dict[str, Any]:
        said = json_object(params)
        require_seen(image, version, said)
        return dict(plain(version_json(store.restore(image, version, said))))

    @routes.get("/label/info", summary="What is known of a label", dependencies=USER)
    def label_info(label: str, tag: str, client_id: ClientId = None) -> dict[str, Any]:
        return dict(plain(described(seen(store.label(label, tag), client_id))))

    @routes.put("/label/info", summary="Note something on a label", dependencies=ANNOTATOR)
    def note_on_label(label: str, tag: str, info: Annotated[str, Form()] = "{}") -> None:
        store.update_label_info(label, tag, json_object(info, "info"))

    @routes.put("/updatelabelinfo", include_in_schema=False, dependencies=ANNOTATOR)
    def note_on_label_formerly(label: str, tag: str, params: Annotated[str, Form()] = "{}") -> None:
        store.update_label_info(label, tag, json_object(params))

    return routes
