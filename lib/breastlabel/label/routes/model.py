"""``/model``: the checkpoint that serves. It is changed by training and promotion, never by upload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from breastlabel.label.errors import named
from breastlabel.label.infer import plain
from breastlabel.label.routes.roles import ADMIN
from breastlabel.training.spec import read_spec

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Downloading the served weights, and what is known of them."""
    routes = APIRouter(prefix="/model", tags=["Model"], dependencies=ADMIN)

    @routes.get("/{model}", summary="Download the weights that serve (safetensors)")
    def download(model: str) -> FileResponse:
        folder = app.predictors.folder(_known(model))
        return FileResponse(
            folder / "model.safetensors",
            media_type="application/octet-stream",
            filename=f"{model}.safetensors",
        )

    @routes.get("/info/{model}", summary="Version, checksum, training and figures of what serves")
    def info(model: str) -> dict[str, Any]:
        folder = app.predictors.folder(_known(model))
        spec = read_spec(folder)
        return dict(
            plain(
                {
                    "checksum": f"SHA256:{spec['sha256']}",
                    "modified_time": int((folder / "model.safetensors").stat().st_mtime),
                    "version": spec["version"],
                    "training": spec.get("training"),
                    "metrics": spec.get("metrics"),
                    "train_stats": app.jobs.stats(model),
                }
            )
        )

    def _known(model: str) -> str:
        return named("model", model, {name: name for name in app.trainers()})

    return routes
