"""``/datastore``: the images of the studies folder. Labels are in ``labels``."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from breastlabel.errors import NotFoundError
from breastlabel.imaging import image_stem
from breastlabel.label.blinding import Blinding
from breastlabel.label.caller import ClientId
from breastlabel.label.datastore import ORIGINAL, RECENT
from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import ADMIN, ANNOTATOR, USER
from breastlabel.label.routes.uploads import json_object, received

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


class Listing(StrEnum):
    """What to list."""

    TRAIN = "train"
    STATS = "stats"
    ALL = "all"


class Labelled(StrEnum):
    """Which images ``output=all`` lists beside those on lease."""

    RECENT = "recent"
    ALL = "all"


def router(app: BreastLabelApp) -> APIRouter:
    """Listing, downloading, adding and removing images."""
    routes = APIRouter(prefix="/datastore", tags=["Datastore"])
    store = app.datastore()
    blinding = Blinding(app)

    @routes.get(
        "/",
        summary="Counts; images on lease or labelled, the last ones or all (all); or file paths (train)",
        dependencies=USER,
    )
    def listing(
        output: Listing = Listing.STATS, labelled: Labelled = Labelled.RECENT, client_id: ClientId = None
    ) -> Any:
        if output is Listing.ALL:
            index = store.json(None if labelled is Labelled.ALL else RECENT)
            for image in blinding.withheld(index["objects"], client_id):
                index["objects"][image]["labels"].pop(ORIGINAL, None)
            # Written out here: FastAPI would go through each of some thousand values first.
            return Response(json.dumps(index, separators=(",", ":")), media_type="application/json")
        if output is Listing.TRAIN:
            return store.datalist()
        return store.status()

    @routes.get("/image", summary="Download an image as a viewer can load it", dependencies=USER)
    def download_image(image: str) -> FileResponse:
        source = store.path(image)
        path = store.served.file(image, source)
        return FileResponse(
            path, media_type="application/octet-stream", filename=store.served.name(image, source)
        )

    @routes.head(
        "/image", summary="Whether there is an image, with the checksum if one is given", dependencies=USER
    )
    def check_image(image: str, check_sum: str | None = None) -> Response:
        path = store.served.file(image, store.path(image))
        if check_sum and not _has_checksum(path, check_sum):
            raise NotFoundError("an image with the checksum asked for is required; this one has another")
        return Response()

    @routes.put("/", include_in_schema=False, dependencies=ANNOTATOR)
    @routes.put("/image", summary="Add an image", dependencies=ANNOTATOR)
    def add_image(
        file: Annotated[UploadFile, File()],
        image: str | None = None,
        params: Annotated[str, Form()] = "{}",
    ) -> dict[str, str]:
        info = json_object(params)
        with received(file, default_suffix=".nii.gz") as path:
            name = Path((file.filename or "").replace("\\", "/")).name
            return {"image": store.add_image(image or image_stem(name), str(path), info)}

    @routes.delete("/", include_in_schema=False, dependencies=ADMIN)
    @routes.delete("/image", summary="Take an image out; its file is kept aside", dependencies=ADMIN)
    def remove_image(id: str) -> dict[str, str]:
        store.remove_image(id)
        return {}

    @routes.get("/image/info", summary="What is known of an image", dependencies=USER)
    def image_info(image: str) -> dict[str, Any]:
        return dict(plain(store.get_image_info(image)))

    @routes.put("/image/info", summary="Note something on an image", dependencies=ANNOTATOR)
    def note_on_image(image: str, info: Annotated[str, Form()] = "{}") -> None:
        store.update_image_info(image, json_object(info, "info"))

    @routes.get("/dataset", summary="All labelled images and their labels as ZIP", dependencies=ANNOTATOR)
    def dataset(limit_cases: Annotated[int | None, Query(ge=0)] = None) -> FileResponse:
        if not store.get_labeled_images():
            raise NotFoundError("at least one labelled image is required; there is none; save a label first")
        path = Path(store.get_dataset_archive(limit_cases))
        return FileResponse(
            path,
            media_type="application/zip",
            filename="dataset.zip",
            background=BackgroundTask(path.unlink, missing_ok=True),
        )

    return routes


def _has_checksum(path: Path, wanted: str) -> bool:
    algorithm, _, digest = wanted.rpartition(":")
    name = (algorithm or "SHA256").lower()
    if name not in ("sha256", "sha512"):
        return False
    return hashlib.new(name, path.read_bytes()).hexdigest() == digest.lower()
