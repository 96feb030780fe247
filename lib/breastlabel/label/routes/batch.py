"""``/batch/infer``: proposals for many images, made in the background."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body

from breastlabel.catalog.listing import ids_of
from breastlabel.errors import NotFoundError
from breastlabel.label.blinding import is_blinded
from breastlabel.label.datastore import ORIGINAL
from breastlabel.label.errors import BadRequestError, named
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ADMIN, USER
from breastlabel.label.systems import MODELS

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


class Images(StrEnum):
    """Which images."""

    ALL = "all"
    LABELED = "labeled"
    UNLABELED = "unlabeled"


def router(app: BreastLabelApp) -> APIRouter:
    """The masks are saved with the tag ``original``; Slicer shows them at the next sample."""
    routes = APIRouter(prefix="/batch", tags=["Infer"])

    @routes.get("/infer", summary="The batch that runs, else the last one", dependencies=USER)
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        running = app.batch.running()
        if check_if_running:
            if running is None:
                raise NotFoundError("no batch inference is running")
            return running
        tasks = app.batch.tasks()
        if not tasks:
            raise NotFoundError("no batch inference was asked for since the server started")
        return tasks if all else tasks[-1]

    @routes.post("/infer/{model}", summary="Run a model on many images", dependencies=ADMIN)
    def run(
        model: str,
        images: Images = Images.ALL,
        params: Annotated[dict[str, Any] | None, Body()] = None,
    ) -> dict[str, Any]:
        named("model", model, {name: name for name in app.trainers()})
        if not MODELS[model].outlines:
            raise BadRequestError(
                f"a model that outlines lesions is required for a batch of proposals; {model} does not"
            )
        app.predictors.folder(model)
        options = app.checked_options(params or {}, image="", model=model)
        store = app.datastore()
        chosen = {
            Images.ALL: store.list_images,
            Images.LABELED: store.get_labeled_images,
            Images.UNLABELED: store.get_unlabeled_images,
        }[images]()
        fitting = ids_of(app.catalog.database, MODELS[model].modality)
        chosen = [image for image in chosen if image in fitting]
        limit = Options(options).integer("max_batch_size", 0, low=0, high=10**9)
        tag = Options(options).text("label_tag", ORIGINAL)
        if tag != ORIGINAL and is_blinded(app):
            # What is withheld is known by its tag.
            raise BadRequestError(
                f"where first readings are blinded a model's masks are saved as '{ORIGINAL}'; another "
                "label_tag was asked for; leave it out"
            )

        def infer_one(image: str) -> dict[str, Any]:
            result = app.infer(
                {**options, "model": model, "image": image, "save_label": True, "label_tag": tag}
            )
            Path(result["file"]).unlink(missing_ok=True)
            return dict(result["params"])

        return app.batch.start(model, chosen[:limit] if limit else chosen, infer_one)

    @routes.delete("/infer", summary="End the batch after the image at work", dependencies=ADMIN)
    def stop() -> dict[str, Any] | None:
        return app.batch.stop()

    return routes
